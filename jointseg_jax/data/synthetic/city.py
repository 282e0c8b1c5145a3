"""Districts of a city: a street grid for each, and a use for every block."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, greens, homes, layout, trees, works
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import EARLIEST, Landscape

Fill = Callable[[Landscape, Block], None]


@dataclass(frozen=True)
class District:
    """A kind of district: sides of its blocks and width of its streets (metres), uses of its blocks with weights."""

    along: float
    across: float
    street: float
    uses: tuple[tuple[Fill, float], ...]


SLABS = District(
    170.0,
    120.0,
    12.0,
    ((homes.slabs, 8), (homes.towers, 1), (greens.school, 1.2), (greens.park, 0.8), (works.commerce, 0.8)),
)
TOWERS = District(
    175.0,
    135.0,
    13.0,
    ((homes.towers, 6), (homes.slabs, 3), (works.commerce, 1.5), (greens.school, 1), (greens.park, 1)),
)
OLD_TOWN = District(
    82.0,
    62.0,
    9.0,
    ((homes.old_town, 12), (homes.slabs, 1), (works.market, 0.5), (greens.school, 0.5), (greens.parking, 0.5)),
)
INDUSTRY = District(
    230.0, 150.0, 12.0, ((works.industry, 10), (works.market, 1), (greens.construction, 1), (greens.parking, 0.6))
)
CENTRE = District(
    130.0,
    105.0,
    14.0,
    ((works.commerce, 7), (homes.towers, 2), (greens.park, 1), (greens.parking, 1.2), (homes.slabs, 2)),
)
VILLAS = District(180.0, 115.0, 9.0, ((homes.villas, 8), (homes.slabs, 2), (greens.park, 0.8)))
ORDER = (SLABS, OLD_TOWN, INDUSTRY, TOWERS, CENTRE, SLABS, VILLAS, INDUSTRY)
GREEN_USES: tuple[Fill, ...] = (greens.park, homes.villas)
TYPICAL_SHARE = 0.6  # sealed share of blocks if their uses are drawn freely
PORT_SHARE = 0.12  # share of the built-up land that one block of the port takes at most
PORT_REACH = 30.0  # metres from the river's corridor within which industry is a port
DENSE_USES: tuple[Fill, ...] = (homes.old_town, works.industry, works.commerce)
LATE = ((2019, 0.925), (2021, 0.955), (2023, 0.98))  # the share of blocks that are older


def _streets(
    land: Landscape,
    rng: np.random.Generator,
    cuts: list[layout.Cut],
    width: float,
    warp: geometry.Warp,
    barrier: shapely.Geometry,
) -> None:
    leafy = rng.random() < 0.75
    for cut in cuts:
        broad = width if cut.level == 0 else max(7.5, width - 2.5)
        for line in layout.clip_roads([warp.line(cut.line)], barrier):
            land.road(line, broad, EARLIEST, "street")
            if leafy and broad >= 9:
                spacing = rng.uniform(7, 11)
                for side in (-1, 1):
                    row = geometry.offset(geometry.resample(line, spacing), side * (broad / 2 - 0.9))
                    land.plant(trees.along(rng, row, spacing, 2.0, 0.3), EARLIEST, paved=True)


def _use(
    rng: np.random.Generator, district: District, area: float, excess: float, by_river: bool, total: float
) -> Fill:
    """Choose the use of a block; `excess` is how far the city is more sealed (above 0) or greener than wanted."""
    if area < 900:
        return greens.parking if excess < 0 and area > 500 else greens.park
    if by_river and district is INDUSTRY and 4000 < area < PORT_SHARE * total:
        return works.containers
    if excess > 0.05 and rng.random() < 0.4 + 2.0 * excess:
        return GREEN_USES[int(rng.integers(len(GREEN_USES)))]
    if excess < -0.07 and rng.random() < 0.6:
        return DENSE_USES[int(rng.integers(len(DENSE_USES)))]
    uses = district.uses
    weights = np.cumsum([w for _, w in uses])
    return uses[int(np.searchsorted(weights, rng.random() * weights[-1]))][0]


def _sealed(land: Landscape, first: int, block: Block, scene: shapely.Geometry) -> float:
    """Return the square metres sealed by the features from index `first` on, within the scene."""
    areas = [f.area() for f in land.features[first:]]
    return float(shapely.union_all(areas).intersection(block.polygon).intersection(scene).area) if areas else 0.0


def build(
    land: Landscape,
    rng: np.random.Generator,
    cells: list[np.ndarray],
    warp: geometry.Warp,
    taken: shapely.Geometry,
    barrier: shapely.Geometry,
    shore: shapely.Geometry,
) -> None:
    """Build districts into cells.

    Args:
        land: the landscape that is added to; the roads between the cells are already there.
        rng: the generator that is drawn from.
        cells: convex rings, before the warp.
        warp: the displacement of the plane.
        taken: land that no block may use.
        barrier: what streets must not cross.
        shore: the river and its banks.
    """
    scene = shapely.box(0, 0, land.shape[1], land.shape[0])
    start = int(rng.integers(len(ORDER)))
    rings: list[tuple[District, shapely.Polygon]] = []
    for number, ring in enumerate(cells):
        district = ORDER[(start + number) % len(ORDER)]
        sides = np.roll(ring, -1, axis=0) - ring
        longest = sides[int(np.argmax(np.hypot(*sides.T)))]
        angle = float(np.arctan2(longest[1], longest[0])) + (rng.normal(0, 0.25) if rng.random() < 0.25 else 0.0)
        blocks, cuts = layout.grid(rng, ring, angle, district.along, district.across)
        _streets(land, rng, cuts, district.street, warp, barrier)
        rings += [(district, warp.ring(block)) for block in blocks if geometry.ring_area(block) > 100]
    areas = np.array([f.area() for f in land.features if f.kind == "road"] + [taken], object)
    tree = shapely.STRtree(areas)
    plots = [
        (d, p)
        for d, ring in rings
        if ring.intersects(scene)
        for p in layout.pieces(ring, tree, areas)
        if p.intersects(scene)
    ]
    _fill(land, rng, plots, scene, shapely.union_all(areas[:-1]), shore)


def _fill(
    land: Landscape,
    rng: np.random.Generator,
    plots: list[tuple[District, shapely.Polygon]],
    scene: shapely.Geometry,
    roads: shapely.Geometry,
    shore: shapely.Geometry,
) -> None:
    """Give every plot a use and a year, steering the sealed share of the scene to its target."""
    total = sum(float(p.intersection(scene).area) for _, p in plots) or 1.0
    sealed_roads = float(roads.intersection(scene).area)
    target = float(np.clip((rng.uniform(0.50, 0.59) * scene.area - sealed_roads) / total, 0.3, 0.88))
    order = rng.permutation(len(plots))
    done, sealed = 0.0, 0.0
    for number in order:
        district, polygon = plots[number]
        share = (done + 0.5 * polygon.area) / max(total, polygon.area)
        small = polygon.area < 0.08 * max(total, polygon.area)
        year = next((y for y, older in reversed(LATE) if share > older and small), EARLIEST)
        excess = sealed / done - target if done > 0 else TYPICAL_SHARE - target
        block = Block(
            polygon,
            year,
            float(np.clip(0.5 + 3.0 * excess, 0.0, 1.0)),
            np.random.default_rng([int(number), int(rng.integers(2**31))]),
        )
        first = len(land.features)
        use = _use(rng, district, polygon.area, excess, polygon.distance(shore) < PORT_REACH, total)
        if year > EARLIEST:
            greens.earthworks(land, block, year - 2, year)
        use(land, block)
        done += float(polygon.intersection(scene).area)
        sealed += _sealed(land, first, block, scene)
