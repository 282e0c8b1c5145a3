"""The measurement behind the thresholds of the image's units, on two of the nine real dates."""

import json

import numpy as np
from scipy import ndimage

from benchmarks import image_units
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster


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


def test_black_pixels_that_nothing_marks(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    fine = make_lattice("EPSG:32650", 0, 0, 1, 360, 360)
    picture = ndimage.gaussian_filter(rng.standard_normal((360, 360, 3)), (9, 9, 0)) * 900 + 120
    write_raster(tmp_path / "a" / "image.vrt", picture.clip(1, 254).astype(np.uint8), Layout(fine, "uint8", "RGB"))
    monkeypatch.setattr(image_units, "SIDE", 360)
    monkeypatch.setattr(image_units, "BLACK", (0, 10))
    assert image_units.main([f"--pictures={tmp_path}"]) == 0
    for row in json.loads(capsys.readouterr().out.splitlines()[-1])["collars"]:
        assert row["fit"]["largest"] < 2 < row["least squares"]["median"]
    assert image_units.main([]) == 2
