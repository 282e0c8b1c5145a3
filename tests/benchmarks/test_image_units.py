"""The measurement behind the thresholds of the image's units, on two of the nine real dates."""

import json

from benchmarks import image_units


def test_figures_of_two_dates(real_data, tmp_path, capsys):
    for date in ("2020-01-28", "2020-02-02"):
        (tmp_path / f"{date}.tif").symlink_to(real_data / "sentinel2" / "boadella" / f"Boadella_{date}.tif")
    assert image_units.main([str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sum(row["n"] for row in found["gains"]) == 6
    assert max(row["fit"]["median"] for row in found["gains"]) < 2
    whole = {row["ground"]: row for row in found["edges"] if row["side"] == 377}
    assert (whole["same"]["alike"], whole["other"]["alike"]) == (1, 0)


def test_one_raster_is_refused(tmp_path, capsys):
    assert image_units.main([str(tmp_path)]) == 2
    assert "fewer than two rasters" in capsys.readouterr().err
