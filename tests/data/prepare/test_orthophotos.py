"""Orthophotos and labels in any CRS and at any spacing end on the site's 1 m lattice, in their place."""

import numpy as np
import pytest
import rasterio
import rasterio.warp
import toy
from rasterio.enums import Resampling

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError


def move(path, crs, spacing):
    """Rewrites a raster as if taken in another CRS, by nearest neighbour; `spacing` in units of the CRS."""
    with rasterio.open(path) as raster:
        stack, profile, names, own = raster.read(), raster.profile, raster.descriptions, raster.crs
        transform, width, height = rasterio.warp.calculate_default_transform(
            own, crs, raster.width, raster.height, *raster.bounds, resolution=spacing
        )
        made = np.zeros((len(stack), height, width), stack.dtype)
        gap = 255 if len(stack) == 1 else 0
        made[:] = gap
        rasterio.warp.reproject(
            stack,
            made,
            src_transform=raster.transform,
            src_crs=own,
            dst_transform=transform,
            dst_crs=crs,
            init_dest_nodata=False,
            resampling=Resampling.nearest,
        )
    profile.update(crs=crs, transform=transform, width=width, height=height, nodata=gap)
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(made)
        raster.descriptions = names


def read(data, what):
    with rasterio.open(data.root / getattr(data.sites["a"], what)) as raster:
        return raster.read(), raster.crs, raster.transform


@pytest.mark.parametrize(
    ("image", "label", "method"),
    [
        (("EPSG:3857", 0.35), ("EPSG:3857", 0.35), "mode"),
        (("EPSG:32649", 0.4), ("EPSG:32650", 0.5), "mode"),
        (("EPSG:4326", 4e-6), ("EPSG:32651", 1.0), "nearest"),
    ],
)
def test_an_orthophoto_is_warped_on_request(one, image, label, method):
    folder, config = one
    before = prepare(config, say=toy.quiet)
    (truth, crs, transform), (classes, _, _) = read(before, "image"), read(before, "label")
    move(folder / "image.tif", *image)
    with pytest.raises(InputError, match=r"image\.tif .*dataset\.warp=True"):
        prepare(config, say=toy.quiet)
    move(folder / "label.tif", *label)
    config.warp = True
    after = prepare(config, say=toy.quiet)
    found, own_crs, own_transform = read(after, "image")
    col, row = (round(n) for n in ~transform * (own_transform.c, own_transform.f))
    assert own_crs == crs  # that of the input
    assert all(n in (0, 10) for n in (row, col))  # snapped inwards
    height, width = found.shape[1:]
    truth, classes = (v[:, row : row + height, col : col + width] for v in (truth, classes))
    inner = np.s_[..., 20:-20, 20:-20]  # the original rectangle is no rectangle elsewhere
    assert np.abs(found[inner].astype(int) - truth[inner]).mean() < 6
    assert np.corrcoef(found[inner].ravel(), truth[inner].ravel())[0, 1] > 0.98
    burnt = read(after, "label")[0]
    known = (burnt[inner] != 255) & (classes[inner] != 255)
    assert known.mean() > 0.98
    assert (burnt[inner] == classes[inner])[known].mean() > 0.97
    assert burnt[inner][known].mean() == pytest.approx(classes[inner][known].mean(), rel=0.02)  # areas
    np.testing.assert_allclose(after.sites["a"].image_gain, 1 / 500, rtol=0.03)
    notes = " ".join(after.sites["a"].notes)
    assert f"image: warped from {image[0]}" in notes
    assert "to EPSG:32650, 1 m (average)" in notes
    assert f"label: warped from {label[0]}" in notes
    assert f"({method})" in notes


def test_a_coarse_image_is_no_image_of_1_m(one):
    folder, config = one
    config.warp = True
    move(folder / "image.tif", "EPSG:32650", 2.5)
    with pytest.raises(InputError, match=r"image\.tif has pixels of 2\.5 m"):
        prepare(config, say=toy.quiet)


def test_a_label_of_other_ground_is_refused(one):
    folder, config = one
    config.warp = True
    with rasterio.open(folder / "label.tif") as raster:
        away = raster.transform * rasterio.Affine.translation(5000, 0)
    toy.rewrite(folder / "label.tif", transform=away)
    with pytest.raises(InputError, match=r"label\.tif labels no pixel of the site"):
        prepare(config, say=toy.quiet)
