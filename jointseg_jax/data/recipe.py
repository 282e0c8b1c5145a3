"""What is asked of a preparation, and the lattice a site gets: shared by the layers, the image and the label."""

import dataclasses
import math
from collections.abc import Iterator, Mapping

from odc.geo.geobox import GeoBox

from jointseg_jax.data.sensor import Sensor
from jointseg_jax.data.sources import SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE, Modality
from jointseg_jax.rasters.lattice import Window, check_metric, crs_text, make_lattice
from jointseg_jax.rasters.reader import lattice_of

_STRIP = 64  # coarse rows handled at a time: memory is bounded by the site's width


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How raw rasters become dataset rasters.

    Attributes:
        modalities: as they will be stored, the first holding the image bands.
        image_bands: names of the image's bands in the first modality.
        simulate: the sensor that makes the first modality from the image; None where it has files.
        classes: code in the label raster -> label value (0, 1, 255).
        clear: SCL classes that count as clear.
        match_image: fit the image's units to the input's (per site and band).
        warp: resample rasters that do not lie on the site's lattice, instead of refusing them.
        seed: of simulated noise.
    """

    modalities: tuple[Modality, ...]
    image_bands: tuple[str, ...]
    simulate: Sensor | None = None
    classes: Mapping[int, int] = dataclasses.field(default_factory=lambda: {0: 0, 1: 1, IGNORE: IGNORE})
    clear: tuple[int, ...] = (4, 5, 6, 7)
    match_image: bool = True
    warp: bool = False
    seed: int = 0

    @property
    def coarsest(self) -> float:
        """The spacing that origins and sizes must be multiples of."""
        return max(COARSE_SPACING, *(m.spacing for m in self.modalities))


def site_lattice(source: SiteSource, recipe: Recipe) -> GeoBox:
    """The 10 m lattice of a site: the ground that image and inputs share, snapped inwards to the coarsest spacing.

    Raises:
        InputError: the files share no ground, or label and image differ in size.
    """
    fine = lattice_of(source.image)
    check_metric(fine, COARSE_SPACING / FINE_FACTOR, str(source.image))
    if source.label is not None:
        label = lattice_of(source.label)
        if label.shape != fine.shape or not label.affine.almost_equals(fine.affine, 1e-3) or label.crs != fine.crs:
            raise InputError(
                f"{source.label} ({label.shape[1]} x {label.shape[0]}, {label.crs}) does not lie on the pixels of "
                f"{source.image} "
                f"({fine.shape[1]} x {fine.shape[0]}, {fine.crs}): give both the same CRS, origin and size"
            )
    left, top = fine.affine.c, fine.affine.f
    right, bottom = left + fine.shape[1] * fine.affine.a, top + fine.shape[0] * fine.affine.e
    if recipe.simulate is None and source.layers.get(recipe.modalities[0].name):
        path = source.layers[recipe.modalities[0].name][0]
        coarse = lattice_of(path)
        if not recipe.warp:
            check_metric(coarse, COARSE_SPACING, str(path))
            if coarse.crs != fine.crs:
                raise InputError(
                    f"{path} is in {coarse.crs} but {source.image} in {fine.crs}: warp one, or set dataset.warp=True"
                )
            left, right = max(left, coarse.affine.c), min(right, coarse.affine.c + coarse.shape[1] * coarse.affine.a)
            top, bottom = min(top, coarse.affine.f), max(bottom, coarse.affine.f + coarse.shape[0] * coarse.affine.e)
    step = recipe.coarsest
    left, top = math.ceil(left / step - 1e-6) * step, math.floor(top / step + 1e-6) * step
    height = math.floor((top - bottom) / step + 1e-6) * round(step / COARSE_SPACING)
    width = math.floor((right - left) / step + 1e-6) * round(step / COARSE_SPACING)
    if height < 1 or width < 1:
        raise InputError(
            f"the rasters of site {source.name!r} share no {step:g} m pixel: {source.image} and its inputs do not "
            "overlap"
        )
    return make_lattice(crs_text(fine), left, top, COARSE_SPACING, height, width)


def strips(height: int, width: int) -> Iterator[Window]:
    """Windows over the whole width, top to bottom, that together cover a raster of 10 m pixels."""
    for row in range(0, height, _STRIP):
        yield Window(row, 0, min(_STRIP, height - row), width)
