"""Chooses the 10 m lattice of a site."""

import math
import pathlib
from collections.abc import Sequence

from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare.recipe import Recipe
from jointseg_jax.data.prepare.sources import SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.geo.reproject import bounds_of
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR
from jointseg_jax.rasters.lattice import crs_name, crs_text, make_lattice
from jointseg_jax.rasters.metric import NotMetric, check_metric, check_placed, utm_crs
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.warped import bounds_in


def site_lattice(source: SiteSource, recipe: Recipe) -> GeoBox:
    """The 10 m lattice of a site: the common ground of image and input, snapped inwards to the coarsest spacing.

    Without an image the label raster stands for it, without that the input.
    Its CRS is that of the input, which should not be resampled, if that is in UTM at 10 m; otherwise that of the image;
    with `recipe.warp` and neither in UTM, the image's UTM zone.

    Raises:
        InputError: the files share no ground, or, without `recipe.warp`, do not lie on one lattice.
    """
    coarse = None if recipe.simulate is not None else source.layers[recipe.primary.name][0]
    reference = source.image or source.label or coarse
    assert reference is not None
    lattices = {path: lattice_of(path) for path in (reference, coarse) if path is not None}
    fine = lattices[reference]
    if recipe.warp:
        for path, own in lattices.items():
            check_placed(own, str(path))
        crs = _warped_crs(reference, fine, lattices.get(coarse) if coarse is not None else None)
    else:
        _check_nested(source, reference, coarse, lattices)
        crs = crs_text(fine)
    boxes = [bounds_in(own, crs) for path, own in lattices.items() if path != coarse]
    if coarse is not None:
        boxes.append(_around([part.path for part in source.parts(recipe.primary.name, 0)], crs))
    if source.entry.ground is not None:
        boxes.append(bounds_of(source.entry.ground, crs))
    left, bottom = (max(box[i] for box in boxes) for i in (0, 1))
    right, top = (min(box[i] for box in boxes) for i in (2, 3))
    step = recipe.coarsest
    if not all(map(math.isfinite, (left, bottom, right, top))) or right - left < step or top - bottom < step:
        raise _apart(source, step)
    left, top = math.ceil(left / step - 1e-6) * step, math.floor(top / step + 1e-6) * step
    height = math.floor((top - bottom) / step + 1e-6) * round(step / COARSE_SPACING)
    width = math.floor((right - left) / step + 1e-6) * round(step / COARSE_SPACING)
    if height < 1 or width < 1:
        raise _apart(source, step)
    return make_lattice(crs, left, top, COARSE_SPACING, height, width)


def _around(paths: Sequence[pathlib.Path], crs: str) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of all rasters together."""
    boxes = [bounds_in(lattice_of(path), crs) for path in paths]
    left, bottom, right, top = zip(*boxes, strict=True)
    return min(left), min(bottom), max(right), max(top)


def _apart(source: SiteSource, step: float) -> InputError:
    return InputError(
        f"the rasters of site {source.entry.name!r} have no {step:g} m pixel in common, because "
        f"{source.image or source.label} and its inputs do not overlap: check their extent and CRS"
    )


def _warped_crs(image: pathlib.Path, fine: GeoBox, coarse: GeoBox | None) -> str:
    for own, spacing in ((coarse, COARSE_SPACING), (fine, COARSE_SPACING / FINE_FACTOR)):
        try:
            if own is not None:
                check_metric(own, spacing, str(image))
                return crs_text(own)
        except InputError:
            continue
    return utm_crs(fine, str(image))


def _check_nested(
    source: SiteSource, reference: pathlib.Path, coarse: pathlib.Path | None, lattices: dict[pathlib.Path, GeoBox]
) -> None:
    """Raises `InputError` unless image, label and first input lie in one UTM zone, the label on the image's pixels."""
    fine = lattices[reference]
    try:
        if reference != coarse:
            check_metric(fine, COARSE_SPACING / FINE_FACTOR, str(reference))
        if coarse is not None:
            check_metric(lattices[coarse], COARSE_SPACING, str(coarse))
    except NotMetric as error:
        raise InputError(f"{error}; or set dataset.warp=True, which warps in preparation") from error
    if source.label is not None:
        label = lattice_of(source.label)
        if label.shape != fine.shape or not label.affine.almost_equals(fine.affine, 1e-3) or label.crs != fine.crs:
            raise InputError(
                f"{source.label} ({label.shape[1]} x {label.shape[0]}, {crs_name(label)}) does not lie on the pixels "
                f"of {reference} ({fine.shape[1]} x {fine.shape[0]}, {crs_name(fine)}): give both the "
                "same CRS, origin and size, or set dataset.warp=True"
            )
    if coarse is not None and lattices[coarse].crs != fine.crs:
        raise InputError(
            f"{coarse} is in {crs_name(lattices[coarse])}, but {reference} is in {crs_name(fine)}: warp one of "
            "them, or set dataset.warp=True"
        )
