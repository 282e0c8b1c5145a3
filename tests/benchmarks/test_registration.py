"""The measurement behind the threshold of later dates, on two of the nine real dates."""

import json

from benchmarks import registration


def test_figures_of_two_dates(real_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(registration, "SIDES", (100, 180))
    for date in ("2020-01-28", "2020-02-02"):
        (tmp_path / f"{date}.tif").symlink_to(real_data / "sentinel2" / "boadella" / f"Boadella_{date}.tif")
    assert registration.main([str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    later = {row["side_m"]: row for row in rows if row["what"].startswith("later")}
    assert later[1000]["n"] == 9
    assert later[1800]["told"] == 1
    assert later[1800]["median_m"] < 3
    assert {row["what"] for row in rows} == {"later date, 10 m", *registration.COARSE}


def test_one_raster_is_refused(tmp_path, capsys):
    assert registration.main([str(tmp_path)]) == 2
    assert "fewer than two rasters" in capsys.readouterr().err
