"""A file of an archive that may serve a site, and how much of the site it shows."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np
import shapely
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare.archive.sites import zone_crs
from jointseg_jax.data.prepare.sources import SiteEntry
from jointseg_jax.geo.reproject import bounds_of
from jointseg_jax.rasters.aligned import open_aligned
from jointseg_jax.rasters.clouds import ClearRule
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.radiometry.product_metadata import raster_identity
from jointseg_jax.rasters.raster_files import classification_of
from jointseg_jax.rasters.warped import bounds_in
from jointseg_jax.sources.acquisition import Acquisition

_GLANCE = 20.0  # metres of the pixels that a file is judged by
_NO_DATA = 0  # of products and of the scene classification


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A file of the archive.

    Attributes:
        name: tells it from the others: the path in the archive, or the id of a STAC item.
        path: as found; of the catalogue for a STAC item.
        lattice: of its first band.
        date: see `dates.iso_moment`; empty if unknown.
        cloud: per cent of the whole file; None if unknown.
        found: the acquisition, if it is a product, a folder with one file per band or a STAC item.
    """

    name: str
    path: pathlib.Path
    lattice: GeoBox
    date: str
    cloud: float | None
    found: Acquisition | None

    def classification(self) -> pathlib.Path | None:
        """Its scene classification."""
        return classification_of(self.path) if self.found is None else self.found.classification()


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """A candidate for a site.

    Attributes:
        candidate: the file.
        days: from the image to it; None if either date is unknown.
        known: where it has data, bool [h, w] on a coarse lattice over the site; of no size if it was not looked at.
        clear: where it is clear; None without a classification.
        cloud: per cent of the ground with data that is not clear; of the whole file without a classification; None if
            unknown.
        seen: per cent of the site with data.
        reason: why it is not used; empty if it can be.
    """

    candidate: Candidate
    days: int | None
    known: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), bool))
    clear: np.ndarray | None = None
    cloud: float | None = None
    seen: float = 0.0
    reason: str = ""

    def rank(self, crs: CRS | None) -> tuple[float, ...]:
        """Less is better: the most ground in whole per cent, the least cloud, the nearest date; `crs` is preferred."""
        return (
            0 if crs is None or self.candidate.lattice.crs == crs else 1,
            -math.floor(self.seen),
            math.inf if self.cloud is None else round(self.cloud),
            math.inf if self.days is None else abs(self.days),
        )


def covered(entry: SiteEntry, candidate: Candidate) -> float:
    """The share of a site within the rectangle of a file."""
    lattice = _glance(entry)
    site = shapely.box(*lattice.boundingbox.bbox)
    there = bounds_in(candidate.lattice, str(lattice.crs))
    return float(site.intersection(shapely.box(*there)).area / site.area) if all(map(math.isfinite, there)) else 0.0


def judge(
    entry: SiteEntry, candidate: Candidate, days: int | None, modality: Modality, rule: ClearRule | None
) -> Judged:
    """What a file shows of a site.

    Args:
        entry: the site.
        candidate: the file.
        days: from the image to it.
        modality: whose first band is looked at where there is no classification.
        rule: what is clear in its classification; None for other sensors.
    """
    classes = None if rule is None else candidate.classification()
    if classes is None or rule is None:
        known = _data(entry, candidate, modality)
        return Judged(candidate, days, known, None, candidate.cloud, 100 * float(known.mean()))
    lattice = _glance(entry)
    with open_aligned(classes, lattice, warp=True, categorical=True) as raster:
        codes, inside = raster.read(Window(0, 0, *lattice.shape), (1,))
    known = inside & (codes[..., 0] != _NO_DATA)
    clear = known & np.isin(codes[..., 0], rule.codes)
    cloud = 100 * (1 - float(clear.sum() / max(known.sum(), 1)))
    return Judged(candidate, days, known, clear, cloud, 100 * float(known.mean()))


def _data(entry: SiteEntry, candidate: Candidate, modality: Modality) -> np.ndarray:
    """Where a file has data in the first band of a modality, bool [h, w]."""
    optical = modality.units == "reflectance"
    band = candidate.path if candidate.found is None else candidate.found.bands(modality)[0].path
    lattice = _glance(entry)
    with open_aligned(band, lattice, warp=True, absent=float(_NO_DATA) if optical else None) as raster:
        numbers, inside = raster.read(Window(0, 0, *lattice.shape), (1,))
    return inside & (numbers[..., 0] != _NO_DATA) if optical else inside


def _glance(entry: SiteEntry) -> GeoBox:
    """A lattice over a site, for judging files; in the UTM zone of its middle."""
    assert entry.ground is not None
    crs = zone_crs(entry.ground)
    left, bottom, right, top = bounds_of(entry.ground, crs)
    rows, cols = (max(1, math.ceil(length / _GLANCE)) for length in (top - bottom, right - left))
    corner = (_GLANCE * math.floor(left / _GLANCE), _GLANCE * math.ceil(top / _GLANCE))
    return make_lattice(crs, *corner, _GLANCE, rows, cols)


def without_reprocessed(judged: Sequence[Judged]) -> list[Judged]:
    """Of products of one tile and sensing time, only the one of the latest processing is usable."""
    latest: dict[tuple[str, str], tuple[float, str]] = {}
    known = {}
    for number, one in enumerate(judged):
        if one.candidate.found is not None and "T" in one.candidate.date:
            name = one.candidate.found.id
            product = raster_identity(pathlib.Path(name), one.candidate.found.evidence())
            key, version = (product.tile, one.candidate.date), (product.baseline or 0.0, name)
            known[number] = key, version
            latest[key] = max(latest.get(key, version), version)
    older = {number for number, (key, version) in known.items() if key[0] and latest[key] != version}
    return [
        dataclasses.replace(one, reason=one.reason or "another product is a later processing of it")
        if number in older
        else one
        for number, one in enumerate(judged)
    ]
