"""Types of the synthetic landscape: bands, legend, map features, the map of a region, and the finished scene."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
import shapely

from jointseg_jax.landscape.geometry import blob

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
REGIONS = ("upstream", "midstream", "downstream")
YEARS = (2017, 2019, 2021, 2023)
EARLIEST = YEARS[0]
ALWAYS, NEVER = 0, 9999
NATURAL = (
    "forest floor", "scrub", "grass", "dry grass", "rock", "scree",
    "ridge", "paddy", "crop", "young crop", "ripe", "ploughed", "vegetables", "tea", "stubble", "fallow", "maize",
)  # fmt: skip
NATURAL_INDEX = {look: index for index, look in enumerate(NATURAL)}  # the values of `Landscape.base`


class LandCover(IntEnum):
    """Legend of `SyntheticScene.landcover`; ROAD, BUILDING and PAVED are impervious, all else is pervious."""

    FOREST = 1
    CROP = 2
    GRASS = 3
    BARE = 4
    WATER = 5
    ROAD = 6
    BUILDING = 7
    PAVED = 8
    GREENHOUSE = 9


IMPERVIOUS = (LandCover.ROAD, LandCover.BUILDING, LandCover.PAVED)


@dataclass(frozen=True)
class Feature:
    """One impervious vector, in metres from the scene's top-left corner (x right, y down).

    A road is a LineString with a width. Buildings and paved areas are polygons of width 0. `height` is that of a
    building, or of a road's deck above ground, metres.
    """

    geometry: shapely.Geometry
    kind: str
    width: float
    year_built: int
    height: float
    name: str

    @cached_property
    def area(self) -> shapely.Geometry:
        """The polygon that the label burns: a road is buffered by half its width, with round caps."""
        return self.geometry.buffer(self.width / 2) if self.kind == "road" else self.geometry


@dataclass(frozen=True)
class SyntheticScene:
    """A finished scene at 1 m, with its partners at 10 m.

    reflectance float32 [height, width, 6] in the order of BANDS; label uint8 [height, width], 1 impervious;
    landcover uint8 [height, width], see LandCover; elevation float32 [height/10, width/10], metres;
    backscatter float32 [height/10, width/10, 2], Sentinel-1 VV and VH in dB; cloud and cloud_shadow
    float32 [height, width], opacity 0..1 at the Sentinel-2 overpass (the reflectance contains neither). `weather`
    numbers the light, haze, noise and clouds.
    """

    region: str
    year: int
    seed: int
    reflectance: np.ndarray
    label: np.ndarray
    landcover: np.ndarray
    elevation: np.ndarray
    backscatter: np.ndarray
    cloud: np.ndarray
    cloud_shadow: np.ndarray
    features: tuple[Feature, ...]
    weather: int


@dataclass(frozen=True)
class Patch:
    """A pervious area or a marking, painted in order over what lies below, from `year` until before `until`.

    `look` names a material; `angle` is the direction of its rows (radians); `tone` in -1..1 varies its colour.
    """

    geometry: shapely.Geometry
    look: str
    angle: float = 0.0
    tone: float = 0.0
    year: int = ALWAYS
    until: int = NEVER


@dataclass(frozen=True)
class Box:
    """A car, a boat, a stack of containers: a rectangle around a point [2] with a height, metres."""

    centre: np.ndarray
    length: float
    width: float
    angle: float
    height: float
    look: str
    tone: float = 0.0
    year: int = ALWAYS
    afloat: bool = False


@dataclass
class Landscape:
    """The map of a region for all years, before rendering.

    `elevation` is float32 [height/10, width/10]; `base` is uint8 [height, width], an index into NATURAL; `tone` is
    float32 [height, width] in -1..1, NaN where it follows the noise, or None where it does so everywhere;
    `relief` is float32 [height, width] at 1 m for hill-shading, or None where the land is flat;
    `trees` holds arrays [n, 7]: x, y, crown radius, height, hue in -1..1 (below 0 conifers), 1 if the tree stands in
    pavement (such trees appear only there, all others only on open ground), and the year from which it stands.
    `patches` lie under the features, `overlays` on top of them.
    """

    region: str
    seed: int
    shape: tuple[int, int]
    elevation: np.ndarray
    base: np.ndarray
    tone: np.ndarray | None = None
    relief: np.ndarray | None = None
    features: list[Feature] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    water: list[Patch] = field(default_factory=list)
    overlays: list[Patch] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    trees: list[np.ndarray] = field(default_factory=list)

    @property
    def frame(self) -> shapely.Polygon:
        """The extent of the scene."""
        return shapely.box(0, 0, self.shape[1], self.shape[0])

    def road(self, line: np.ndarray, width: float, name: str, year: int = EARLIEST, height: float = 0.0) -> None:
        """Add a road along a line [n, 2]."""
        self.features.append(Feature(shapely.LineString(line), "road", float(width), int(year), height, name))

    def building(self, polygon: shapely.Polygon, height: float, name: str, year: int = EARLIEST) -> None:
        """Add a building."""
        self.features.append(Feature(polygon, "building", 0.0, int(year), float(height), name))

    def paved(self, polygon: shapely.Geometry, name: str, year: int = EARLIEST) -> None:
        """Add a paved area, unless it is empty."""
        if not polygon.is_empty:
            self.features.append(Feature(polygon, "paved", 0.0, int(year), 0.0, name))

    def patch(self, shape: shapely.Geometry, look: str, tone: float = 0.0, angle: float = 0.0, year: int = 0) -> None:
        """Add a pervious area."""
        self.patches.append(Patch(shape, look, float(angle), float(tone), year))

    def spots(
        self,
        rng: np.random.Generator,
        centres: np.ndarray,
        radius: tuple[float, float],
        looks: Sequence[str],
        within: shapely.Geometry,
        year: int = ALWAYS,
        until: int = NEVER,
    ) -> None:
        """Add irregular pervious areas around points [n, 2], each of one of the looks, within a shape."""
        for centre in centres:
            shape = blob(rng, centre, rng.uniform(*radius)).intersection(within)
            tone, angle = rng.uniform(-0.9, 0.7), rng.uniform(0, 3)
            self.patches.append(Patch(shape, str(rng.choice(looks)), angle, tone, year, until))

    def flood(self, shape: shapely.Geometry, look: str, tone: float, year: int = ALWAYS) -> None:
        """Add a water body."""
        self.water.append(Patch(shape, look, tone=float(tone), year=year))

    def mark(self, shape: shapely.Geometry, look: str, tone: float = 0.0, angle: float = 0.0, year: int = 0) -> None:
        """Add a marking on top of the features."""
        self.overlays.append(Patch(shape, look, float(angle), float(tone), year))

    def plant(self, trees: np.ndarray, year: int = ALWAYS, *, paved: bool = False) -> None:
        """Add trees [n, 5]: x, y, crown radius, height, hue."""
        if len(trees):
            extra = np.broadcast_to([float(paved), float(year)], (len(trees), 2))
            self.trees.append(np.column_stack([trees, extra]))
