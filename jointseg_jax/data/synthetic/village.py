"""Villages of the plain and hamlets of the mountains."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, homes
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import EARLIEST, Landscape, Patch

GOLDEN = 0.618034
# By which year what share of the houses that stand in the last year has been built.
GROWTH = {
    "midstream": ((0.70, 2017), (0.81, 2019), (0.91, 2021), (1.0, 2023)),
    "upstream": ((0.42, 2017), (0.62, 2019), (0.83, 2021), (1.0, 2023)),
}


def year_of(region: str, draw: float) -> int:
    """Return the year something is built, from a draw in 0..1: rapid growth upstream, moderate midstream."""
    return next(year for share, year in GROWTH[region] if draw <= share)


def homestead(
    land: Landscape,
    rng: np.random.Generator,
    frame: geometry.Frame,
    u: float,
    v: float,
    length: float,
    sway: float,
    year: int,
    room: shapely.Geometry,
) -> bool:
    """Build a house with its yard on the side of +v, and at times a shed and a garden, if it fits into a room.

    `u`, `v` is the house's centre in the frame, `length` its longer side, `sway` how freely it is turned (radians).
    """
    depth, yard = rng.uniform(7.2, 9.6), rng.uniform(4.5, 6.5)
    turn = rng.normal(0, sway)
    house = frame.polygon(u, v, length, depth, turn)
    if not shapely.contains(room, house):
        return False
    land.building(house, float(rng.choice([4.0, 6.8, 6.8, 9.8])), year, "house")
    court = frame.polygon(u, v + depth / 2 + yard / 2, length, yard, turn)
    if rng.random() < 0.72 and shapely.contains(room, court):
        land.paved(court, year, "courtyard")
        if rng.random() < 0.5:
            side = rng.choice([-1, 1]) * (length / 2 - 1.8)
            land.building(frame.polygon(u + side, v + depth / 2 + yard / 2, 3.4, yard - 0.6, turn), 3.0, year, "shed")
    elif rng.random() < 0.6:
        land.patches.append(Patch(court.intersection(room), "vegetables", frame.angle, float(rng.uniform(-0.8, 0.8))))
    return True


@dataclass(frozen=True)
class Pattern:
    """How the rows of a village lie: their distance and bend (metres), how strictly houses are aligned (radians)."""

    pitch: float
    bend: float
    wave: float
    sway: float
    spine: float

    def at(self, u: np.ndarray | float, v: float) -> np.ndarray | float:
        """Return where a row at `v` lies at `u`, both in the village's frame."""
        return v + self.bend * np.sin(np.asarray(u) / self.wave)


def _pattern(rng: np.random.Generator, frame: geometry.Frame) -> Pattern:
    orderly = rng.random() < 0.6
    pitch, wave, spine = rng.uniform(19.5, 23.5), rng.uniform(28, 60), rng.uniform(-0.2, 0.2) * frame.length
    return Pattern(pitch, rng.normal(0, 1.5 if orderly else 4.0), wave, 0.025 if orderly else 0.10, spine)


def _beds(land: Landscape, block: Block, frame: geometry.Frame) -> None:
    """Lay vegetable beds, bare yards and plots of grass between the houses to come."""
    rng = block.rng
    for _ in range(int(block.polygon.area / 900)):
        u, v = rng.uniform(-0.5, 0.5, 2) * (frame.length, frame.width)
        bed = frame.polygon(u, v, rng.uniform(8, 18), rng.uniform(5, 10)).intersection(block.polygon)
        look = str(rng.choice(["vegetables", "dirt", "crop", "lawn"]))
        land.patches.append(Patch(bed, look, frame.angle, float(rng.uniform(-0.8, 0.8))))


def village(land: Landscape, block: Block, facing: float, roads: list[shapely.Geometry]) -> None:
    """Rows of homesteads facing south on lanes that lead to the nearest of the roads, gardens and trees around them."""
    rng, frame = block.rng, block.frame(facing)
    land.patches.append(Patch(block.polygon, "garden", frame.angle, float(rng.uniform(-0.5, 0.45))))
    _beds(land, block, frame)
    pattern = _pattern(rng, frame)
    room = block.polygon.buffer(-0.5)
    shapely.prepare(room)
    starts = np.arange(-frame.width / 2 + 7, frame.width / 2 - 5, pattern.pitch)
    rows = [(v, spans) for v in starts if (spans := block.row(frame, v + 3.0, 12.0, 1.0))]
    # Villages grow by rows; a golden sequence spreads the years evenly over them.
    drift = rng.random()
    for number, (v, spans) in enumerate(rows):
        _row(land, rng, frame, pattern, v, spans, room, year_of(land.region, (drift + GOLDEN * number) % 1.0))
    if rows:
        vs = np.linspace(rows[0][0] - 6, rows[-1][0] + 0.62 * pattern.pitch, 8)
        line = frame.place(np.stack([pattern.spine + 2 * np.sin(vs / 30), vs], axis=1))
        _lane(land, rng, line, EARLIEST)
        _connect(land, rng, line, roads)
    homes.greenery(land, block, 6.0, 0.5, (1.3, 3.6))
    for part in geometry.polygons_of(block.polygon.buffer(6).difference(block.polygon.buffer(-4))):
        homes.greenery(land, Block(part, 0, 1.0, rng), 4.5, 0.4, (1.5, 3.6))


def _row(
    land: Landscape,
    rng: np.random.Generator,
    frame: geometry.Frame,
    pattern: Pattern,
    v: float,
    spans: list[tuple[float, float]],
    room: shapely.Geometry,
    settled: int,
) -> None:
    """Build a row of homesteads from the year it is settled, with the lane that leads past them to the spine."""
    reach = [pattern.spine]
    for span in spans:
        u = span[0] + rng.uniform(0, 4)
        while u < span[1] - 10:
            length = rng.uniform(9.5, 14.5)
            at = u + length / 2
            year = settled if rng.random() < 0.6 else max(settled, year_of(land.region, rng.random()))
            clear = abs(at - pattern.spine) > length / 2 + 3 and rng.random() > 0.06
            along = float(pattern.at(at, v)) + 8 * pattern.sway * rng.normal()
            if clear and homestead(land, rng, frame, at, along, length, pattern.sway, year, room):
                reach.append(at)
            u += length + rng.choice([0.8, 1.5, 4.0, 7.0])
    if len(reach) > 1:
        us = np.linspace(min(reach) - 3, max(reach) + 3, 8)
        _lane(land, rng, frame.place(np.stack([us, pattern.at(us, v + 0.62 * pattern.pitch)], axis=1)), settled)


def _lane(land: Landscape, rng: np.random.Generator, line: np.ndarray, year: int) -> None:
    land.road(geometry.resample(line, 8.0), float(rng.choice([3.2, 3.6, 4.2])), year, "lane")


def _connect(land: Landscape, rng: np.random.Generator, lane: np.ndarray, roads: list[shapely.Geometry]) -> None:
    """Lead a lane on to the nearest road."""
    if not roads:
        return
    ends = shapely.points(lane[[0, -1]])
    gaps = np.array([[shapely.distance(end, road) for road in roads] for end in ends])
    end, road = np.unravel_index(int(np.argmin(gaps)), gaps.shape)
    if 0.1 < gaps[end, road] < 250.0:
        way = shapely.get_coordinates(shapely.shortest_line(ends[end], roads[road]))
        way[1] += (way[1] - way[0]) / max(float(np.hypot(*(way[1] - way[0]))), 1e-6) * 2.0
        _lane(land, rng, way, EARLIEST)
