"""The benchmark of several dates: registered dates resolve more than one."""

import numpy as np
import pytest
import toy

from benchmarks import dates
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster


@pytest.fixture(scope="module")
def crop(tmp_path_factory):
    path = tmp_path_factory.mktemp("dates") / "image.tif"
    image, _ = toy.ground(5, 42, 42)
    lattice = make_lattice(toy.CRS, toy.LEFT, toy.TOP, 1, 420, 420)
    write_raster(path, np.round(image * 250).astype(np.uint8), Layout(lattice, "uint8", ("R", "G", "B"), rgb=True))
    return dates.simulate(path, 300, 6, 0.2, seed=1)


def test_shifts_are_estimated_from_the_dates(crop):
    known = np.array([sensor.shift for sensor in crop.sensors])
    assert not known[0].any()
    assert known[1:].std() > 1
    np.testing.assert_allclose(dates.estimated_shifts(crop), known, atol=0.3)


def test_registered_dates_resolve_more(crop):
    known = np.array([sensor.shift for sensor in crop.sensors])

    def score(count, shifts):
        return dates.psnr(dates.least_squares(crop, count, 5, 0.01, shifts), crop.truth)

    one, ignored, registered = score(1, known), score(6, 0 * known), score(6, known)
    assert registered > one + 0.2
    assert registered > ignored + 0.2
    assert dates.psnr(dates.base(crop, 1, dates.PROJECTIONS), crop.truth) > dates.psnr(
        dates.base(crop, 1, 0), crop.truth
    )
