"""The measurement behind the check of the offset by pixels, on two of the real chips."""

import json

from benchmarks import offsets


def test_two_chips_with_and_without_the_offset(real_data, tmp_path, capsys, monkeypatch):
    for chip in ("433D_629L_3_1", "637U_59R_1_3"):
        (tmp_path / f"{chip}.tif").symlink_to(real_data / "sentinel2" / "terramesh" / "S2L2A" / f"{chip}.tif")
    monkeypatch.setattr(offsets, "CROP", 112)
    monkeypatch.setattr(offsets, "SETS", {"10 m": offsets.SETS["10 m"]})
    assert offsets.main([str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["carries"] for row in found["chips"]] == [True, False]
    assert [row["n"] for row in found["table"]] == [2] * 4 + [8] * 4
    assert not any(row["false alarms"] for row in found["table"])
    missed = {(row["claimed by"], row["numbers"]): row["misses"] for row in found["table"][:4]}
    assert missed["tag", "without"] == 0
    assert missed["baseline", "with +1000"] == 2  # a baseline that says 0 is not checked


def test_no_chips_are_refused(tmp_path, capsys):
    assert offsets.main([str(tmp_path)]) == 2
    assert "no rasters of 12 or 13 bands" in capsys.readouterr().err
