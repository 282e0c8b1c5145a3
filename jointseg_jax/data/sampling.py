"""Draws sites at random: stratified by region and by class of a raster, at least some distance apart.

The distance changes the probability with which a place is drawn, in a way that nobody knows. Such a sample spreads
training sites; accuracies and areas are never estimated from it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyproj
import shapely
from odc.geo.geobox import GeoBox
from scipy.spatial import cKDTree

from jointseg_jax.errors import InputError
from jointseg_jax.geo.reproject import transformer
from jointseg_jax.rasters.lattice import crs_text

WARNING = (
    "These sites are for training. A sample with a minimum distance has no known inclusion probabilities: never "
    "estimate an accuracy or an area from it; draw a separate random sample for that."
)
_BATCH = 40  # candidates per site still missing, at once
_LEAST_BATCH, _BARREN = 20_000, 3  # candidates; batches in a row without a new site that end the search
_ECCENTRICITY2 = pyproj.Geod(ellps="WGS84").es


@dataclasses.dataclass(frozen=True)
class Density:
    """A raster whose values, cut at breaks, are the classes of the strata.

    Attributes:
        values: [h, w].
        valid: bool [h, w]; no site is drawn elsewhere.
        lattice: of the values, in any CRS.
        breaks: ascending; a value equal to a break lies above it.
    """

    values: np.ndarray
    valid: np.ndarray
    lattice: GeoBox
    breaks: tuple[float, ...]

    def classes(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Class of each point, int [points]; -1 without a valid value."""
        x, y = transformer(4326, crs_text(self.lattice)).transform(lon, lat)
        x, y = np.where(np.isfinite(x), x, 1e30), np.where(np.isfinite(y), y, 1e30)
        col, row = (~self.lattice.affine) * (x, y)
        height, width = self.values.shape
        inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
        row, col = np.where(inside, row, 0).astype(int), np.where(inside, col, 0).astype(int)
        found = np.digitize(self.values[row, col], self.breaks)
        return np.where(inside & self.valid[row, col], found, -1)

    def label(self, number: int) -> str:
        """The range of a class in words."""
        edges = ["-inf", *(f"{b:g}" for b in self.breaks), "inf"]
        return f"{edges[number]} to {edges[number + 1]}"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Sites in the order of their strata.

    Attributes:
        lon, lat: degrees, [sites].
        region: number of the region, int [sites].
        density: class, int [sites]; 0 without a raster.
        wanted: sites by (region, class), before strata without room gave theirs away.
    """

    lon: np.ndarray
    lat: np.ndarray
    region: np.ndarray
    density: np.ndarray
    wanted: dict[tuple[int, int], int]


def draw(
    regions: Mapping[str, shapely.Geometry],
    sites: int,
    distance: float,
    seed: int,
    density: Density | None = None,
) -> Drawn:
    """Draws centres of sites, uniformly on the ellipsoid within each stratum.

    All strata that occur get the same number. The scarcest are filled first, and what a stratum has no room for goes
    to the others.

    Args:
        regions: polygons in degrees.
        sites: number.
        distance: least distance in metres, measured straight through the Earth, so along it never less.
        seed: the same arguments give the same sites.
        density: classes of the strata; None for one per region.

    Raises:
        InputError: the strata have no ground, or no room for so many sites.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed]))
    places = _Candidates(rng, list(regions.values()), density)
    places.add(max(_LEAST_BATCH, _BATCH * sites))
    strata = places.scarcest_first()
    wanted = {stratum: sites // len(strata) + (i < sites % len(strata)) for i, stratum in enumerate(strata)}
    chosen = np.zeros(0, int)
    for quota in (wanted, dict.fromkeys(strata, sites)):  # equal numbers first, then whoever has room
        barren = 0
        while strata and len(chosen) < sites and barren < _BARREN:
            before = len(chosen)
            chosen = _apart(places, chosen, quota, distance, sites)
            barren = barren + 1 if len(chosen) == before else 0
            if len(chosen) < sites:
                places.add(max(_LEAST_BATCH, _BATCH * (sites - len(chosen))))
    if not strata:
        raise InputError(f"no valid pixel of the density raster lies in {', '.join(regions)}: check its extent and CRS")
    if len(chosen) < sites:
        raise InputError(
            f"only {len(chosen)} of {sites} sites have room at a distance of {distance / 1000:g} km: lower --sites or "
            "--distance"
        )
    chosen = chosen[np.lexsort((chosen, places.stratum[chosen]))]
    split = [divmod(stratum, places.classes) for stratum in places.stratum[chosen].tolist()]
    region, klass = (np.array(part, int) for part in zip(*split, strict=True))
    pairs = {divmod(stratum, places.classes): count for stratum, count in wanted.items()}
    return Drawn(places.lon[chosen], places.lat[chosen], region, klass, pairs)


class _Candidates:
    """Random points on the regions, uniform by area, with their strata."""

    def __init__(self, rng: np.random.Generator, grounds: Sequence[shapely.Geometry], density: Density | None):
        self._rng, self._grounds, self._density = rng, grounds, density
        self.classes = 1 if density is None else len(density.breaks) + 1
        self.lon = self.lat = np.zeros(0)
        self.stratum = np.zeros(0, int)
        for ground in grounds:
            shapely.prepare(ground)

    def add(self, count: int) -> None:
        """Adds about `count` points, an equal number per region."""
        for number, ground in enumerate(self._grounds):
            west, south, east, north = ground.bounds
            lon = self._rng.uniform(west, east, count // len(self._grounds) + 1)
            low, high = _authalic(np.array([south, north]))
            lat = _latitude(self._rng.uniform(low, high, len(lon)), south, north)
            inside = shapely.contains_xy(ground, lon, lat)
            lon, lat = lon[inside], lat[inside]
            klass = np.zeros(len(lon), int) if self._density is None else self._density.classes(lon, lat)
            self.lon = np.concatenate([self.lon, lon[klass >= 0]])
            self.lat = np.concatenate([self.lat, lat[klass >= 0]])
            self.stratum = np.concatenate([self.stratum, number * self.classes + klass[klass >= 0]])

    def scarcest_first(self) -> list[int]:
        """The strata that occur, by number of points."""
        found, counts = np.unique(self.stratum, return_counts=True)
        return [int(s) for s in found[np.lexsort((found, counts))]]

    def geocentric(self) -> np.ndarray:
        """Metres, [points, 3]: straight distances there are exact everywhere."""
        x, y, z = transformer("EPSG:4979", "EPSG:4978").transform(self.lon, self.lat, np.zeros(len(self.lon)))
        return np.column_stack([x, y, z])


def _apart(
    places: _Candidates, chosen: np.ndarray, wanted: Mapping[int, int], distance: float, most: int
) -> np.ndarray:
    """Adds to the chosen points, stratum by stratum, points that lie apart, in the order in which they were drawn."""
    points = places.geocentric()
    tree = cKDTree(points)
    taken = [int(i) for i in chosen]
    free = np.ones(len(points), bool)
    for near in tree.query_ball_point(points[taken], distance) if taken else ():
        free[near] = False
    for stratum, count in wanted.items():
        own = np.flatnonzero(places.stratum == stratum)
        missing = count - int((places.stratum[taken] == stratum).sum())
        for candidate in own:
            if missing <= 0 or len(taken) >= most:
                break
            if free[candidate]:
                taken.append(int(candidate))
                missing -= 1
                free[tree.query_ball_point(points[candidate], distance)] = False
    return np.array(taken, int)


def _authalic(lat: np.ndarray) -> np.ndarray:
    """A quantity in proportion to the area of the ellipsoid south of a latitude (Snyder 1987, eq. 3-12)."""
    e, s = np.sqrt(_ECCENTRICITY2), np.sin(np.radians(lat))
    return (1 - e**2) * (s / (1 - (e * s) ** 2) - np.log((1 - e * s) / (1 + e * s)) / (2 * e))


def _latitude(area: np.ndarray, south: float, north: float) -> np.ndarray:
    """Inverts `_authalic` between two latitudes, by interpolation to some metres."""
    lat = np.linspace(south, north, 20_001)
    return np.interp(area, _authalic(lat), lat)
