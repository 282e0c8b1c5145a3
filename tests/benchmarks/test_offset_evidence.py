"""The table of false alarms and misses of the offset's evidence, on real chips."""

import json

from benchmarks import offset_evidence


def test_no_false_alarm_on_real_chips_and_few_misses(real_data, capsys):
    assert offset_evidence.main([str(real_data / "sentinel2" / "eotdl")]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(rows) == 18
    wrong = {(row["bands"], row["numbers"], row["tag"]): row["chips"] for row in rows}
    assert not any(row["chips"] for row in rows if row["kind"] == "false alarms")
    assert wrong["B02 B03 B04 B08", "with +1000", "0"] == ["s2_l2a_boadella_20200113"]  # haze
    assert wrong["B02 B03 B04 B08", "1000 taken off", "0"] == []


def test_a_folder_without_chips_is_refused(tmp_path, capsys):
    assert offset_evidence.main([str(tmp_path)]) == 2
    assert "has no raster of 12 bands" in capsys.readouterr().err
