"""The vocabulary of the synthetic landscape: bands, legend, features, the geography, and the finished scene."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import shapely

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
REGIONS = ("upstream", "midstream", "downstream")
YEARS = (2017, 2019, 2021, 2023)
NATURAL = (
    "forest floor", "scrub", "grass", "dry grass", "soil", "gravel", "sand", "rock", "scree", "mud",
    "ridge", "paddy", "crop", "young crop", "ripe", "ploughed", "vegetables", "tea", "stubble", "fallow", "maize",
)  # fmt: skip
NATURAL_INDEX = {look: index for index, look in enumerate(NATURAL)}  # what `Landscape.base` is made of
EARLIEST = YEARS[0]
ALWAYS = 0
NEVER = 9999


class LandCover(IntEnum):
    """Legend of `Scene.landcover`; ROAD, BUILDING and PAVED are impervious, all else is pervious."""

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
    """One vector that the label comes from, in metres from the scene's top-left corner (x right, y down).

    A road is a LineString; the label buffers it by width / 2 with round caps (`geometry.buffer(width / 2)`).
    Buildings and paved areas are polygons and have width 0. `height` is that of a building, metres, else 0.
    """

    geometry: shapely.Geometry
    kind: str
    width: float
    year_built: int
    height: float
    name: str

    def area(self) -> shapely.Geometry:
        """Return the polygon that the label burns."""
        if self.kind == "road":
            return self.geometry.buffer(self.width / 2)
        return self.geometry


@dataclass(frozen=True)
class Scene:
    """A finished scene at 1 m, with its partners at 10 m.

    reflectance float32 [height, width, 6] in the order of BANDS; label uint8 [height, width], 1 impervious;
    landcover uint8 [height, width], see LandCover; elevation float32 [height/10, width/10], metres;
    backscatter float32 [height/10, width/10, 2], Sentinel-1 VV and VH in dB; cloud and cloud_shadow
    float32 [height, width], opacity 0..1 at the Sentinel-2 overpass (the reflectance itself is free of both).
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


@dataclass(frozen=True)
class Patch:
    """A piece of ground or a marking, painted in order over what lies below, present from `year` until `until`.

    `look` is a material; `angle` is the direction of rows (radians); `tone` in -1..1 varies its colour.
    """

    geometry: shapely.Geometry
    look: str
    angle: float = 0.0
    tone: float = 0.0
    year: int = ALWAYS
    until: int = NEVER


@dataclass(frozen=True)
class Box:
    """A small upright body such as a car, a boat or a stack of containers: a rectangle with a height, metres."""

    x: float
    y: float
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
    """The geography of a scene for all years: what a map would show, before any light falls on it.

    `elevation` is float32 [height/10, width/10]; `base` is uint8 [height, width], an index into NATURAL; `tone` is
    float32 [height, width] in -1..1, NaN where the tone is to vary freely, or None where it does so everywhere;
    `relief` is float32 [height, width] at 1 m for hill-shading, or None where the land is flat;
    `trees` holds arrays [n, 7]: x, y, crown radius, height, hue in -1..1 (below 0 conifers), 1 if the tree stands in
    pavement (such trees appear only there, all others only on open ground), and the year from which it stands.
    `patches` lie under the features, `overlays` on top of them; `decks` gives roads of a name a height above ground.
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
    decks: dict[str, float] = field(default_factory=dict)

    def road(self, line: np.ndarray, width: float, year: int, name: str) -> None:
        """Add a road along a line [n, 2]."""
        self.features.append(Feature(shapely.LineString(line), "road", float(width), int(year), 0.0, name))

    def building(self, polygon: shapely.Polygon, height: float, year: int, name: str) -> None:
        """Add a building."""
        self.features.append(Feature(polygon, "building", 0.0, int(year), float(height), name))

    def paved(self, polygon: shapely.Geometry, year: int, name: str) -> None:
        """Add a paved area."""
        self.features.append(Feature(polygon, "paved", 0.0, int(year), 0.0, name))

    def plant(self, trees: np.ndarray, year: int = ALWAYS, *, paved: bool = False) -> None:
        """Add trees [n, 5]: x, y, crown radius, height, hue."""
        if len(trees):
            extra = np.broadcast_to([float(paved), float(year)], (len(trees), 2))
            self.trees.append(np.column_stack([trees, extra]))
