"""Burns the vectors of a site into its label: 0 pervious, 1 impervious, 255 ignored."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyproj
import shapely
from odc.geo.geobox import GeoBox

from jointseg_jax.data.gaps import Gaps
from jointseg_jax.data.prepare.labels.completeness import BY_DEFAULT, Completeness, ignore_gaps
from jointseg_jax.data.prepare.labels.features import Shape, read_features
from jointseg_jax.data.prepare.labels.rules import Rules
from jointseg_jax.errors import InputError
from jointseg_jax.geo.reproject import reproject
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import crs_text

_DEGREES = 0.01  # longest side of a box in degrees that is transformed by its ends


@dataclasses.dataclass(frozen=True)
class BurntLabel:
    """The label of a site from vectors.

    Attributes:
        values: uint8 `[height, width]` on the 1 m lattice.
        counts: what the vectors hold -> number of features; see `features.Features`.
        gaps: where they are missing; None if that was not judged.
    """

    values: np.ndarray
    counts: Mapping[str, int]
    gaps: Gaps | None = None

    @property
    def note(self) -> str:
        """One line on the decisions, for the record of the site."""
        said = [f"{number} {what}" for what, number in self.counts.items() if number and not what.startswith("rule ")]
        return f"label: {', '.join(said) or 'no features'}"


def label_from_vectors(
    paths: Sequence[pathlib.Path],
    rules: Rules,
    fine: GeoBox,
    scratch: pathlib.Path | None = None,
    *,
    built_up: pathlib.Path | None = None,
    completeness: Completeness = BY_DEFAULT,
) -> BurntLabel:
    """Makes the label of a site.

    A pixel takes the value of the last shape, in burning order, in which its centre lies. Beyond the box that an
    OpenStreetMap extract declares to cover the label is ignored.

    Args:
        paths: vector files.
        rules: see `load_rules`.
        fine: the site's 1 m lattice.
        scratch: see `read_window`.
        built_up: footprints or a built-up product, by which `ignore_gaps` judges where vectors are missing.
        completeness: how it does.

    Raises:
        InputError: see `read_features` and `ignore_gaps`; or without rules one area covers the whole site.
    """
    box = fine.boundingbox
    bounds = (box.left, box.bottom, box.right, box.top)
    found = read_features(paths, rules, bounds, crs_text(fine), scratch)
    if not rules.given and any(s.whole and shapely.covers(s.geometry, shapely.box(*bounds)) for s in found.shapes):
        raise InputError(
            f"one area in {', '.join(str(path) for path in paths)} covers the whole site, and without rules all of it "
            "would be impervious: give the roads and buildings of the site, or set dataset.label.rules to a YAML file "
            "that says what is impervious (docs/your-own-data.md)"
        )
    values = rasterise(found.shapes, fine, rules.ground)
    if found.covered is not None:
        declared = reproject(found.covered, "OGC:CRS84", pyproj.CRS(crs_text(fine)).to_wkt(), _DEGREES)
        beyond = shapely.difference(shapely.box(*bounds).buffer(1.0), declared)
        burn([(beyond, IGNORE)], values, fine.affine)
    if built_up is None:
        return BurntLabel(values, found.counts)
    judged = ignore_gaps(values, fine, built_up, completeness, scratch)
    gaps = Gaps(completeness.cell, tuple(int(number) for number in np.flatnonzero(judged.sparse)))
    return BurntLabel(values, {**found.counts, **judged.counts}, gaps)


def rasterise(shapes: Iterable[Shape], fine: GeoBox, ground: int) -> np.ndarray:
    """Burns shapes in their order on ground of one value, uint8 `[height, width]`."""
    return burn(((s.geometry, s.value) for s in shapes), np.full(fine.shape, ground, np.uint8), fine.affine)
