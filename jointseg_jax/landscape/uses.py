"""What a block is used for: housing, work, parks, schools and car parks, and the earthworks before it is built."""

from collections.abc import Callable

import numpy as np
import shapely

from jointseg_jax.landscape import city_blocks, geometry, roads
from jointseg_jax.landscape.city_blocks import Block, Rows, rows
from jointseg_jax.landscape.geometry import Frame
from jointseg_jax.landscape.model import Box, Patch

Use = Callable[[Block], None]
STALL, AISLE = 2.6, 6.5  # metres
CONTAINERS = ("orange box", "blue car", "white car", "red car", "orange box", "dark car", "machine")


def slabs(block: Block) -> None:
    """Apartment slabs in rows that face south, with lanes, lawns, footpaths and trees."""
    rows(block, city_blocks.SLABS)
    paths(block, 2)
    block.plant(8.5)


def towers(block: Block) -> None:
    """Point towers in a garden with winding paths."""
    rows(block, city_blocks.TOWERS)
    paths(block, 4)
    block.plant(7.8)


def old_town(block: Block) -> None:
    """Small houses wall to wall on narrow alleys; the ground is almost wholly paved."""
    rows(block, city_blocks.OLD_TOWN)
    block.plant(16.0, (1.2, 3.0), paved=True)


def villas(block: Block) -> None:
    """Detached houses with gardens on lanes."""
    rows(block, city_blocks.VILLAS)
    block.plant(7.5, (1.2, 3.2))


def _yard(block: Block, style: Rows) -> None:
    """Halls on a concrete yard with trucks and stacks of goods."""
    halls = rows(block, style)
    concrete(block, "yard")
    clutter(block, halls)
    block.plant(8.5, (1.4, 3.0))


def industry(block: Block) -> None:
    """Large halls with metal roofs, or tanks."""
    _yard(block, city_blocks.TANKS if block.rng.random() < 0.05 else city_blocks.INDUSTRY)


def market(block: Block) -> None:
    """Long low sheds side by side with service lanes between, as in a wholesale market."""
    _yard(block, city_blocks.MARKET)


def commerce(block: Block) -> None:
    """Large shops and offices on a plaza with car parks and trees."""
    built = rows(block, city_blocks.OFFICES)
    concrete(block, "plaza")
    rest = block.polygon.buffer(-4.0).difference(built.buffer(6.0)).buffer(-6.0).buffer(6.0)
    for part in geometry.polygons_of(rest, 350):
        if block.rng.random() < 0.7:
            car_park(block.part(part), 0.6)
    block.plant(13.0, (1.2, 2.6), paved=True)
    block.plant(14.0)


def school(block: Block) -> None:
    """A running track with its pitch, classroom wings around courts, ball courts and trees."""
    rng, frame = block.rng, block.frame()
    block.ground("lawn")
    rest = block.polygon
    for turn, reach in ((np.pi / 2, 38), (0.0, 76)):
        field = Frame(frame.place((rng.choice([-1, 1]) * (frame.length / 2 - reach), 0)), frame.angle + turn)
        if block.fits(geometry.strip(field.line((-38, 0), (38, 0)), 33.0), 1.5):
            rest = rest.difference(_sports_ground(block, field).buffer(6))
            break
    parts = geometry.polygons_of(rest.buffer(-1.0), 600)
    if not parts:
        return
    campus = block.part(max(parts, key=lambda part: part.area))
    wings = rows(campus, city_blocks.SCHOOL)
    concrete(campus, "plaza")
    local = campus.frame()
    for u in np.arange(-local.length / 2 + 12, local.length / 2 - 12, 19.0):
        court = local.polygon(u, -local.width / 2 + 20, 17.5, 31)
        if campus.fits(court, 2.0) and not court.intersects(wings.buffer(3)):
            block.land.paved(court, str(rng.choice(["court", "blue court"])), block.year)
            block.land.mark(court.buffer(-1.8).exterior.buffer(0.25), "white paint", year=block.year)
    block.plant(10.0)


def _sports_ground(block: Block, frame: Frame) -> shapely.Polygon:
    """Lay a running track with its pitch along a frame; return the land it takes."""
    land, year = block.land, block.year
    axis = shapely.LineString(frame.line((-38, 0), (38, 0)))
    land.paved(axis.buffer(33.0).difference(axis.buffer(24.0)), "running track", year)
    land.patch(axis.buffer(24.0), "lawn", 0.0, 0.0, year)
    land.patch(frame.polygon(0, 0, 84, 44), "pitch", 0.1, frame.angle + np.pi / 2, year)
    marks = [axis.buffer(r).exterior for r in (26.5, 29.0, 31.5)]
    marks += [frame.polygon(u, 0, a, b).exterior for u, a, b in ((0, 78, 40), (32, 14, 24), (-32, 14, 24))]
    marks += [shapely.LineString(frame.line((0, -20), (0, 20))), shapely.Point(frame.centre).buffer(7).exterior]
    for mark in marks:
        land.mark(mark.buffer(0.3), "white paint", -0.4, year=year)
    return shapely.Polygon(axis.buffer(33.0).exterior)


def park(block: Block) -> None:
    """Lawns, groves, a pond, and winding paths that meet the streets."""
    land, rng, scale = block.land, block.rng, np.sqrt(block.polygon.area)
    block.ground("lawn", 0.3)
    land.spots(rng, block.somewhere(4, 0.4), (0.1 * scale, 0.2 * scale), ["pitch"], block.polygon, block.year)
    pond = geometry.blob(rng, block.somewhere(1, 0.2)[0], rng.uniform(0.11, 0.17) * scale)
    pond = pond.intersection(block.polygon.buffer(-8))
    if scale > 70 and rng.random() < 0.75:
        land.patch(pond.buffer(1.5), "garden", year=block.year)
        land.flood(pond, "pond", rng.uniform(-0.5, 1), block.year)
    else:
        pond = shapely.Polygon()
    paths(block, int(rng.integers(2, 4)) if scale < 60 else int(rng.integers(3, 7)), pond.buffer(2.0))
    for centre in block.somewhere(int(scale / 11)):
        grove = geometry.blob(rng, centre, rng.uniform(6, 17)).intersection(block.polygon)
        for part in geometry.polygons_of(grove, 60):
            block.part(part).plant(4.4, (1.8, 4.2))
    block.plant(12.5, (1.5, 4.0))


def paths(block: Block, spokes: int, avoid: shapely.Geometry | None = None) -> None:
    """Lay footpaths that wind from a small round square to the block's edges, and a loop where there is room."""
    rng, scale = block.rng, np.sqrt(block.polygon.area)
    hub = block.somewhere(1, 0.25)[0]
    walks = []
    for angle in np.arange(spokes) * 2 * np.pi / spokes + rng.uniform(0, 6) + rng.normal(0, 0.25, spokes):
        end = hub + 0.9 * scale * np.array([np.cos(angle), np.sin(angle)])
        bends = np.linspace(hub, end, 5)[1:-1] + rng.normal(0, 0.09 * scale, (3, 2))
        walks += block.clip(geometry.chaikin(np.array([hub, *bends, end]), 3))
    if scale > 75 and rng.random() < 0.55:
        for part in geometry.polygons_of(block.polygon.buffer(-(5 + rng.uniform(0.03, 0.12) * scale)), 900):
            loop = geometry.resample(shapely.get_coordinates(part.exterior), 0.22 * scale)
            walks.append(geometry.chaikin(loop + rng.normal(0, 0.02 * scale, loop.shape), 3))
    areas = [geometry.strip(walk, float(rng.choice([1.2, 1.6, 2.0]))) for walk in walks]
    areas.append(shapely.Point(hub).buffer(rng.uniform(4, 0.05 * scale + 5)))
    network = shapely.union_all(areas).difference(avoid or shapely.Polygon())
    for part in geometry.polygons_of(network.intersection(block.polygon.buffer(2.0)), 10):
        block.land.paved(part, "path", block.year)


def parking(block: Block) -> None:
    """A block that is one car park with a green edge."""
    block.ground("lawn")
    for part in geometry.polygons_of(block.polygon.buffer(-3.0 - 3.0 * block.green), 200):
        car_park(block.part(part), block.rng.uniform(0.35, 0.95))
    block.plant(10.0, (1.4, 2.8))


def car_park(block: Block, filled: float) -> None:
    """Pave a block as a car park with stalls in double rows, partly filled, and a few trees between them."""
    land, rng, frame, year = block.land, block.rng, block.frame(), block.year
    block.pave(block.polygon, "car park")
    shapely.prepare(block.polygon)
    us = np.arange(-frame.length / 2 + 3, frame.length / 2 - 2, STALL)
    for v in np.arange(-frame.width / 2 + 3.5, frame.width / 2, 2 * 5.0 + AISLE):
        for side in (-2.6, 2.6):
            points = frame.place(np.stack([us, np.full(len(us), v + side)], axis=1))
            inside = shapely.contains_xy(block.polygon, *points.T)
            for at in points[inside][::2] + STALL / 2 * frame.axis:
                land.mark(Frame(at, frame.angle).polygon(0, 0, 0.35, 4.6), "white paint", -0.6, year=year)
            for at in points[inside & (rng.random(len(us)) < filled)]:
                land.boxes.append(roads.car(rng, at, frame.angle + np.pi / 2 + rng.normal(0, 0.03), year))
    block.plant(22.0, (1.2, 2.2), paved=True)


def containers(block: Block) -> None:
    """A container yard: stacks in long rows on concrete, with lanes between."""
    land, rng, frame = block.land, block.rng, block.frame()
    block.ground("dirt")
    block.pave(block.polygon.buffer(-1.0), "apron")
    room = block.polygon.buffer(-7)
    for v in np.arange(-frame.width / 2 + 8, frame.width / 2 - 6, 22.0):
        for u in np.arange(-frame.length / 2 + 8, frame.length / 2 - 8, 13.0):
            usual = str(rng.choice(CONTAINERS))
            for lane in range(int(rng.integers(2, 6)) if rng.random() < 0.75 else 0):
                at = frame.place((u, v + 2.6 * lane))
                if shapely.contains_xy(room, *at):
                    look, high = usual if rng.random() < 0.5 else str(rng.choice(CONTAINERS)), int(rng.integers(1, 5))
                    tone = rng.uniform(-1, 1)
                    land.boxes.append(Box(at, 12.2, 2.45, frame.angle, 2.6 * high, look, tone, block.year))


def clutter(block: Block, halls: shapely.Geometry) -> None:
    """Stand groups of trucks, containers or pallets on what is left of a yard."""
    land, rng, frame = block.land, block.rng, block.frame()
    room = block.polygon.buffer(-6).difference(halls.buffer(2.5))
    shapely.prepare(room)
    for start in block.somewhere(int(block.polygon.area / 900)):
        local = Frame(start, frame.angle + rng.choice([0.0, np.pi / 2]))
        kind = rng.random()
        for k in range(int(rng.integers(2, 8))):
            at = local.place((0.0, 3.4 * k))
            tone = rng.uniform(-1, 1)
            if not shapely.contains_xy(room, *at):
                continue
            if kind < 0.4:
                land.boxes.append(roads.car(rng, at, local.angle, block.year, 0.75))
            elif kind < 0.75:
                look = str(rng.choice(["orange box", "blue car", "white car", "machine", "rust"]))
                length = float(rng.choice([6.1, 12.2]))
                land.boxes.append(Box(at, length, 2.45, local.angle, 2.6, look, tone, block.year))
            else:
                length, width = rng.uniform((2, 1.5), (6, 3))
                land.boxes.append(Box(at, length, width, frame.angle, 1.2, "machine", tone, block.year))


def concrete(block: Block, look: str) -> None:
    """Divide a paved block into areas laid at different times, with stains and worn lanes."""
    rng, frame = block.rng, block.frame()
    cells, _ = geometry.divide(rng, frame.outline, 1500.0, frame.angle, 0.0)
    room = block.polygon.buffer(-2.5 - 9.0 * block.green)
    for cell in cells:
        if rng.random() < 0.6:
            kind = look if rng.random() < 0.8 else str(rng.choice(["car park", "yard", "alley"]))
            block.land.mark(cell.intersection(room), kind, rng.uniform(-0.7, 0.9), frame.angle, block.year)


def earthworks(block: Block, since: int, until: int) -> None:
    """Lay bare a block for building: soil, heaps, a stepped pit and ruts, from `since` until before `until`."""
    rng, frame = block.rng, block.frame()

    def lay(shape: shapely.Geometry, look: str, tone: float) -> None:
        part = shape.intersection(block.polygon)
        block.land.patches.append(Patch(part, look, frame.angle, float(tone), since, until))

    lay(block.polygon, "construction", rng.uniform(-0.6, 0.3))
    heaps, looks = block.somewhere(int(block.polygon.area / 700) + 3), ("dirt", "soil", "soil", "mud", "garden")
    block.land.spots(rng, heaps, (4, 16), looks, block.polygon, since, until)
    u, v = rng.uniform(-0.2, 0.2, 2) * frame.size
    for step in range(4):
        pit = frame.polygon(u, v, (0.5 - 0.05 * step) * frame.length, (0.55 - 0.07 * step) * frame.width)
        lay(pit, "soil" if step % 2 else "dirt", 0.1 - 0.22 * step)
    for _ in range(5):
        track = geometry.chaikin(block.somewhere(4), 3)
        for side in (-1.1, 1.1):
            lay(geometry.strip(geometry.offset(geometry.resample(track, 4.0), side), 0.45), "soil", -0.3)
