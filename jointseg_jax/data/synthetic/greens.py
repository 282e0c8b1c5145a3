"""Open blocks: parks, schools with their grounds, courts, and construction sites."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, homes, layout, works
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import ALWAYS, NEVER, Box, Landscape, Patch


def blob(rng: np.random.Generator, centre: np.ndarray, radius: float, stretch: float = 1.6) -> shapely.Polygon:
    """Return an irregular rounded shape, such as a pond or a copse."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radii = radius * (1 + sum(rng.normal(0, 0.22 / k) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in range(1, 5)))
    turn = rng.uniform(0, np.pi)
    points = np.maximum(radii, 0.3 * radius)[:, None] * np.stack([np.cos(angles) * stretch, np.sin(angles)], axis=1)
    cos, sin = np.cos(turn), np.sin(turn)
    return shapely.Polygon(centre + points @ np.array([[cos, sin], [-sin, cos]])).buffer(0)


def park(land: Landscape, block: Block) -> None:
    """Lawns, groves, a pond, winding paths that meet the streets, and a round square."""
    rng, frame = block.rng, block.frame()
    homes.ground(land, block, "lawn", 0.3)
    scale = np.sqrt(block.polygon.area)
    for _ in range(int(rng.integers(2, 5))):
        meadow = blob(rng, frame.place(rng.uniform(-0.4, 0.4, 2) * (frame.length, frame.width)), 0.15 * scale)
        land.patches.append(
            Patch(meadow.intersection(block.polygon), "pitch", rng.uniform(0, 3), rng.uniform(-0.5, 0.3), block.year)
        )
    pond = blob(
        rng, frame.place(rng.uniform(-0.2, 0.2, 2) * (frame.length, frame.width)), rng.uniform(0.11, 0.17) * scale
    )
    pond = pond.intersection(block.polygon.buffer(-8))
    if scale > 70 and rng.random() < 0.75 and not pond.is_empty:
        land.patches.append(Patch(pond.buffer(1.5), "garden", year=block.year))
        land.water.append(Patch(pond, "pond", tone=rng.uniform(-0.5, 1), year=block.year))
    else:
        pond = shapely.Polygon()
    walks = []
    hub = frame.place(rng.uniform(-0.25, 0.25, 2) * (frame.length, frame.width))
    spokes = int(rng.integers(2, 4)) if scale < 60 else int(rng.integers(3, 7))
    for angle in np.arange(spokes) * 2 * np.pi / spokes + rng.uniform(0, 6) + rng.normal(0, 0.25, spokes):
        end = hub + 0.9 * scale * np.array([np.cos(angle), np.sin(angle)])
        bends = np.linspace(hub, end, 5)[1:-1] + rng.normal(0, 0.09 * scale, (3, 2))
        walks += block.lines([geometry.chaikin(np.array([hub, *bends, end]), 3)])
    if scale > 75 and rng.random() < 0.55:
        for part in geometry.polygons_of(block.polygon.buffer(-(5 + rng.uniform(0.03, 0.12) * scale)), 900):
            loop = geometry.resample(shapely.get_coordinates(part.exterior), 0.22 * scale)
            walks.append(geometry.chaikin(loop + rng.normal(0, 0.02 * scale, loop.shape), 3))
    paths = [shapely.LineString(walk).buffer(rng.choice([1.2, 1.6, 2.0])) for walk in walks]
    if rng.random() < 0.6:
        paths.append(shapely.Point(hub).buffer(rng.uniform(5, 0.06 * scale + 6)))
    network = shapely.union_all(paths).intersection(block.polygon.buffer(2.0)).difference(pond.buffer(2.0))
    for part in geometry.polygons_of(network, 10):
        land.paved(part, block.year, "path")
    for _ in range(int(scale / 11)):
        grove = blob(rng, frame.place(rng.uniform(-0.5, 0.5, 2) * (frame.length, frame.width)), rng.uniform(6, 17))
        grove = grove.intersection(block.polygon)
        for part in geometry.polygons_of(grove, 60):
            homes.greenery(land, Block(part, block.year, 1.0, rng), 4.2, 0.9, (1.8, 4.2))
    homes.greenery(land, block, 9.0, 0.5, (1.5, 4.0))


def _ground_of_sport(
    land: Landscape, frame: geometry.Frame, u: float, v: float, turn: float, year: int
) -> tuple[shapely.Polygon, list[Patch]]:
    """Return a running track as a ring polygon and the pitch and lines inside of it."""
    place = geometry.Frame(frame.place(np.array([u, v])), frame.angle + turn, 1, 1)
    axis = shapely.LineString(place.place(np.array([[-38.0, 0.0], [38.0, 0.0]])))
    track = axis.buffer(33.0).difference(axis.buffer(24.0))
    field = place.polygon(0, 0, 84, 44)
    lines: list[shapely.Geometry] = [axis.buffer(r + 0.3).difference(axis.buffer(r - 0.3)) for r in (26.5, 29.0, 31.5)]
    pitch = place.polygon(0, 0, 78, 40)
    marks = [
        pitch.exterior,
        place.polygon(32, 0, 14, 24).exterior,
        place.polygon(-32, 0, 14, 24).exterior,
        shapely.LineString(place.place(np.array([[0, -20], [0, 20]]))),
        shapely.Point(place.centre).buffer(7).exterior,
    ]
    lines += [m.buffer(0.3) for m in marks]
    ground = [
        Patch(axis.buffer(24.0), "lawn", year=year),
        Patch(field, "pitch", frame.angle + turn + np.pi / 2, 0.1, year),
    ]
    return track, ground + [Patch(line, "white paint", tone=-0.4, year=year) for line in lines]


def courts(land: Landscape, block: Block, frame: geometry.Frame, u: float, v: float, count: int) -> None:
    """Lay a row of ball courts with their lines where they fit."""
    rng = block.rng
    kind = str(rng.choice(["court", "blue court", "running track"]))
    for k in range(count):
        at = u + (k - (count - 1) / 2) * 19
        slab = frame.polygon(at, v, 17.5, 31)
        if not block.fitting([slab], 2.0)[0]:
            continue
        land.paved(slab, block.year, kind)
        inner = frame.polygon(at, v, 14, 27)
        half = shapely.LineString(frame.place(np.array([[at - 7, v], [at + 7, v]])))
        land.overlays.append(Patch(inner.exterior.buffer(0.25), "white paint", year=block.year))
        land.overlays.append(Patch(half.buffer(0.25), "white paint", year=block.year))


def school(land: Landscape, block: Block) -> None:
    """Classroom wings around courts, a running track with its pitch, ball courts, trees."""
    rng, frame = block.rng, block.frame()
    homes.ground(land, block, "lawn")
    side = rng.choice([-1, 1])
    sport = shapely.Polygon()
    for turn, reach in ((np.pi / 2, 33), (0.0, 71)):
        track, ground = _ground_of_sport(land, frame, side * (frame.length / 2 - reach - 5), 0, turn, block.year)
        if block.fitting([shapely.Polygon(track.exterior)], 1.5)[0]:
            land.paved(track, block.year, "running track")
            land.patches += ground[:2]
            land.overlays += ground[2:]
            sport = shapely.Polygon(track.exterior).buffer(6)
            break
    rest = block.polygon.buffer(-2).difference(sport)
    parts = geometry.polygons_of(rest, 600)
    if not parts:
        return
    campus = Block(max(parts, key=lambda p: p.area), block.year, block.green, rng)
    for part in geometry.polygons_of(campus.polygon.buffer(-4 - 8 * block.green), 200):
        land.paved(part, block.year, "plaza")
    local = campus.frame(0.0)
    outlines = []
    for v in np.arange(-local.width / 2 + 14, local.width / 2 - 8, rng.uniform(28, 36)):
        for span in campus.row(local, v, 11.0, 3.0):
            for u, length in layout.spread(rng, span, (44.0, 60.0), (9.0, 16.0), 20.0):
                bar, wing = local.polygon(u, v, length, 10), local.polygon(u - length / 2 + 5, v + 9, 10, 18)
                outlines.append(bar.union(wing) if campus.fitting([wing], 3.0)[0] and rng.random() < 0.5 else bar)
    outlines = outlines[:5] if rng.random() < 0.6 else outlines
    for outline in outlines:
        land.building(outline, float(rng.choice([12.0, 15.0, 18.0])), block.year, "school")
    works.slabs_of_concrete(land, campus, "plaza")
    built = shapely.union_all(outlines).buffer(6) if outlines else shapely.Polygon()
    open_parts = geometry.polygons_of(campus.polygon.buffer(-3).difference(built), 700)
    if open_parts:
        court_block = Block(max(open_parts, key=lambda p: p.area), block.year, block.green, rng)
        courts(land, court_block, court_block.frame(), 0, 0, 4)
    homes.greenery(land, block, 7.0, 0.5)


def earthworks(land: Landscape, block: Block, year: int = ALWAYS, until: int = NEVER) -> None:
    """Lay bare a block for building: soil, heaps, a stepped pit and ruts, present from `year` until `until`."""
    rng, frame = block.rng, block.frame()
    size = np.array([frame.length, frame.width])

    def lay(shape: shapely.Geometry, look: str, tone: float) -> None:
        land.patches.append(Patch(shape.intersection(block.polygon), look, frame.angle, float(tone), year, until))

    lay(block.polygon, "construction", rng.uniform(-0.6, 0.3))
    for _ in range(int(block.polygon.area / 700) + 3):
        look = str(rng.choice(["dirt", "soil", "soil", "mud", "dry grass", "garden"]))
        lay(
            blob(rng, frame.place(rng.uniform(-0.5, 0.5, 2) * size), rng.uniform(4, 16), 2.0),
            look,
            rng.uniform(-1, 0.6),
        )
    u, v = rng.uniform(-0.2, 0.2, 2) * size
    for step in range(4):
        pit = frame.polygon(u, v, (0.5 - 0.05 * step) * frame.length, (0.55 - 0.07 * step) * frame.width)
        lay(
            pit.intersection(block.polygon.buffer(-4)),
            *(("soil", -0.2 - 0.25 * step) if step % 2 else ("dirt", 0.1 - 0.2 * step)),
        )
    for _ in range(5):
        ends = frame.place(rng.uniform(-0.5, 0.5, (4, 2)) * size)
        path = geometry.resample(geometry.chaikin(ends, 3), 4.0)
        for side in (-1.1, 1.1):
            lay(shapely.LineString(geometry.offset(path, side)).buffer(0.45), "soil", -0.3)


def construction(land: Landscape, block: Block) -> None:
    """A building site: earthworks, half-built slabs, cabins with blue roofs, machines."""
    rng, frame = block.rng, block.frame()
    size = np.array([frame.length, frame.width])
    earthworks(land, block)
    outlines = []
    for row in np.arange(-frame.width / 2 + 14, frame.width / 2 - 10, rng.uniform(30, 44)):
        for span in block.row(frame, row, 14.0, 6.0):
            for at, length in layout.spread(rng, span, (28.0, 40.0), (9.0, 16.0), 20.0):
                outlines.append(frame.polygon(at, row, length, 13.0))
    for outline in outlines:
        if rng.random() < 0.3:
            land.building(outline, rng.uniform(4, 30), block.year, "block")
    cabins = [
        frame.polygon(-frame.length / 2 + 9 + 7 * k, -frame.width / 2 + 8, 6, 12)
        for k in range(int(rng.integers(2, 7)))
    ]
    for cabin, fits in zip(cabins, block.fitting(cabins, 2.0), strict=True):
        if fits:
            land.building(cabin, 5.5, block.year, "shed")
    room = block.polygon.buffer(-5)
    for _ in range(int(block.polygon.area / 260)):
        x, y = frame.place(rng.uniform(-0.5, 0.5, 2) * size)
        if shapely.contains_xy(room, x, y):
            look = str(rng.choice(["machine", "orange box", "rust", "white car", "rust"]))
            land.boxes.append(
                Box(x, y, rng.uniform(2, 9), rng.uniform(1.2, 3), rng.uniform(0, 3), 1.5, look, rng.uniform(-1, 1))
            )


def parking(land: Landscape, block: Block) -> None:
    """A block that is one car park with a green edge."""
    homes.ground(land, block, "lawn")
    for part in geometry.polygons_of(block.polygon.buffer(-3.0 - 3.0 * block.green), 200):
        works.car_park(land, block, part, block.rng.uniform(0.35, 0.95))
    homes.greenery(land, block, 7.0, 0.5, (1.4, 2.8))
