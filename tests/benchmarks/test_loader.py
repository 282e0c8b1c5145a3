"""benchmarks/loader.py reads what the loader reads, in every format."""

import json

import pytest

from benchmarks import loader


def test_a_row_for_each_format_and_the_memory_map_holds_all_rasters(data, tmp_path, capsys):
    report = tmp_path / "report.json"
    command = [f"--dataset={data.root}", "--site=a", "--windows=2", "--batch=2", "--workers=0", f"--output={report}"]
    assert loader.main(command) == 0
    rows = json.loads(report.read_text())["rows"]
    formats = [row["format"] for row in rows]
    assert formats[:6] == [f"GeoTIFF {block} {codec}" for block, codec in loader.FORMATS]
    assert formats[6:] == ["memory map", "as prepared", "as prepared", "augmented batches of all sites"]
    site = data.sites["a"]
    assert rows[6]["megabytes"] == pytest.approx(site.height * site.width * (4 * 2 + 2 / 4 * 2 + 2 * 4 + 4 + 400) / 1e6)
    assert all(row["windows_per_s"] > 0 for row in rows)
    assert capsys.readouterr().out.count("\n| ") == 2 + len(rows)


def test_a_site_without_training_patches_is_named(data, capsys):
    assert loader.main([f"--dataset={data.root}", "--site=d"]) == 2
    assert "--site=d has no training patches" in capsys.readouterr().err
