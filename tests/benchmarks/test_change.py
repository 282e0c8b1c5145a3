"""The measurement behind the rule for changed blocks, on two of the nine real dates."""

import json

from benchmarks import change


def test_figures_of_two_dates(real_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(change, "SIDES", (24,))
    for date in ("2020-01-28", "2020-02-02"):
        (tmp_path / f"{date}.tif").symlink_to(real_data / "sentinel2" / "boadella" / f"Boadella_{date}.tif")
    assert change.main([str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = {(row["by"], row.get("false alarms")): row.get("detected") for row in rows}
    assert found["pattern", 0.05] > 0.8
    assert found["pattern", 0.05] > found["distance from the line", 0.05]
