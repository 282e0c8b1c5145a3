"""What write_product writes and what it says of it."""

import dataclasses

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.product.write import write_product
from jointseg_jax.rasters.lattice import make_lattice


@pytest.fixture(scope="module")
def owned():
    """An odd shape over scene d (360 x 420 at 1 m): nothing at all of some tiles, a part of others."""
    rows, cols = np.mgrid[:360, :420]
    return (rows + 2 * cols < 700) & (cols > 33)


def read(product):
    found = {}
    for name, path in product.files.items():
        if path.suffix == ".tif":
            with rasterio.open(path) as raster:
                found[name] = raster.read()
    return found


@pytest.fixture(scope="module")
def products(trained, data, owned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    predictor = Predictor(trained, 6, tile=8)
    whole = write_product(predictor, data.scene("d"), folder / "whole", {})
    steps = []
    part = write_product(
        predictor, data.scene("d"), folder / "part", {}, lambda *s: steps.append(s), owned=owned, quick=False
    )
    return whole, part, steps


def test_outside_what_is_owned_is_nodata_and_inside_is_the_same_map(products, owned):
    whole, part = read(products[0]), read(products[1])
    assert set(part) == {"impervious", "probability", "image"}
    for name, nodata in (("impervious", 255), ("probability", 255), ("image", 0)):
        np.testing.assert_array_equal(part[name], np.where(owned, whole[name], nodata))
    assert (part["impervious"] != 255).any()


def test_tiles_without_anything_owned_are_not_computed(products, owned):
    steps = products[2]
    touched = sum(owned[80 * r : 80 * r + 80, 80 * c : 80 * c + 80].any() for r in range(5) for c in range(6))
    assert touched < 30
    assert steps == [(n, touched) for n in range(1, touched + 1)]


def test_the_rasters_are_cloud_optimised(products):
    for product in products[:2]:
        for name, path in product.files.items():
            if path.suffix == ".tif":
                valid, errors, warnings = cog_validate(path)
                assert valid, (name, errors, warnings)
                assert not warnings


def test_counts_and_areas_are_those_of_the_files(products, owned):
    for product, asked in ((products[0], np.ones_like(owned)), (products[1], owned)):
        classes = read(product)["impervious"][0]
        assert product.valid_pixels == (classes != 255).sum()
        assert product.impervious_pixels == (classes == 1).sum() > 0
        for pixels, square_metres in (
            (asked.sum(), product.owned_m2),
            (product.valid_pixels, product.valid_m2),
            (product.impervious_pixels, product.impervious_m2),
        ):
            assert square_metres / pixels == pytest.approx(1 / 0.9996**2, rel=1e-6)  # at the central meridian


def test_statistics_are_those_of_the_files(products):
    for product in products[:2]:
        for name, stored in read(product).items():
            known = stored[0] != (0 if name == "image" else 255)
            assert len(product.statistics[name]) == len(stored)
            for band, found in zip(stored, product.statistics[name], strict=True):
                values = band[known].astype(float)
                wanted = (values.min(), values.max(), values.mean(), values.std(), known.mean())
                assert dataclasses.astuple(found) == pytest.approx(wanted, rel=1e-9)


def test_nothing_owned_is_a_product_without_values(trained, data, tmp_path):
    nothing = np.zeros((360, 420), bool)
    product = write_product(Predictor(trained, 2, tile=16), data.scene("d"), tmp_path, {}, owned=nothing, quick=False)
    assert (product.valid_pixels, product.owned_m2, product.impervious_m2) == (0, 0.0, 0.0)
    assert product.statistics["image"][0].mean is None
    found = read(product)
    assert (found["impervious"] == 255).all()
    assert (found["probability"] == 255).all()
    assert (found["image"] == 0).all()


def test_a_mask_of_another_shape_or_kind_is_a_mistake(trained, data, tmp_path):
    for wrong in (np.ones((36, 42), bool), np.ones((360, 420), np.uint8)):
        with pytest.raises(ValueError, match="owned must be bool"):
            write_product(Predictor(trained, 2, tile=16), data.scene("d"), tmp_path / "map", {}, owned=wrong)
    assert not (tmp_path / "map").exists()


def test_a_lattice_without_a_place_has_pixels_and_no_areas(trained, data, tmp_path):
    scene = data.scene("d")
    nowhere = dataclasses.replace(scene, lattice=make_lattice(None, 0.0, 0.0, 10, *scene.shape))
    product = write_product(Predictor(trained, 2, tile=21), nowhere, tmp_path, {}, quick=False)
    assert product.valid_pixels > 0
    assert product.valid_m2 is None
