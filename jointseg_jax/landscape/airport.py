"""An airport: runway with its markings, taxiways, apron with aircraft, terminal, hangars, car park, perimeter road."""

import numpy as np
import shapely

from jointseg_jax.landscape import geometry, uses
from jointseg_jax.landscape.city_blocks import Block
from jointseg_jax.landscape.geometry import Frame
from jointseg_jax.landscape.model import Box, Landscape

LONG_SIDE, SHORT_SIDE = 1800, 1200  # metres; smaller scenes have no airport
DEPTH = 540.0  # metres, as all that follow
RUNWAY_WIDTH, TAXIWAY_WIDTH = 45.0, 21.0
AXIS, TAXI = 150.0, -35.0  # from the zone's middle line to the axes of runway and taxiway


def site(shape: tuple[int, int], avoid: shapely.Geometry) -> Frame | None:
    """Return the frame of an airport along a long side of the scene that keeps clear of some land, or None."""
    height, width = shape
    if max(shape) < LONG_SIDE or min(shape) < SHORT_SIDE:
        return None
    length = min(0.9 * max(shape) - 80, 3200.0)
    near = DEPTH / 2 + 45.0
    # The runway lies on the side of the scene's edge, at +v.
    for across, turn in ((near, np.pi), (min(shape) - near, 0.0)):
        if width >= height:
            frame = Frame(np.array([width / 2, across]), turn, length, DEPTH)
        else:
            frame = Frame(np.array([across, height / 2]), turn - np.pi / 2, length, DEPTH)
        if not frame.polygon(0, 0, length + 60, DEPTH + 60).intersects(avoid):
            return frame
    return None


def _runway(land: Landscape, rng: np.random.Generator, frame: Frame, length: float) -> None:
    """Lay the runway, its markings and the rubber that wheels leave."""
    land.paved(frame.polygon(0, AXIS, length, RUNWAY_WIDTH + 14), "taxiway")
    land.paved(frame.polygon(0, AXIS, length, RUNWAY_WIDTH), "runway")

    def mark(u: float, v: float, along: float, across: float, look: str = "white paint", tone: float = 0.2) -> None:
        land.mark(frame.polygon(u, AXIS + v, along, across), look, tone, frame.angle)

    for at in np.arange(-length / 2, length / 2 - 45, 90.0):
        mark(at + 45, 0, 88, RUNWAY_WIDTH - 1, "runway", float(rng.uniform(-0.25, 0.25)))
    for end in (-1, 1):
        for _ in range(26):
            at, across, long = end * (length / 2 - rng.uniform(150, 620)), rng.normal(0, 4.5), rng.uniform(60, 240)
            mark(at, across, long, rng.uniform(0.8, 2.4), "new asphalt", rng.uniform(-0.2, 0.9))
        for k in (*range(-6, 0), *range(1, 7)):
            mark(end * (length / 2 - 24), 3.2 * k, 30, 1.7)
        for side in (-1, 1):
            mark(end * (length / 2 - 330), side * 9.5, 48, 7.0)
    for at in np.arange(-length / 2 + 75, length / 2 - 60, 50.0):
        mark(at, 0, 30, 0.9)
    for side in (-1, 1):
        mark(0, side * (RUNWAY_WIDTH / 2 - 1), length, 0.9)


def _taxiways(land: Landscape, rng: np.random.Generator, frame: Frame, length: float) -> None:
    """Lay a taxiway beside the runway, and links between them."""
    end = length / 2 - 12
    lines = [np.array([[-end, TAXI], [end, TAXI]]), *(np.array([[u, TAXI], [u, AXIS]]) for u in (-end, end))]
    for u in np.linspace(-0.32, 0.32, 4) * length:
        lean = rng.choice([-1, 1]) * rng.uniform(60, 130)
        bends = [[u, TAXI], [u + 0.25 * lean, TAXI + 45], [u + lean, AXIS - 50], [u + 1.5 * lean, AXIS]]
        lines.append(geometry.chaikin(np.array(bends), 3))
    for line in lines:
        way = frame.place(line)
        land.paved(geometry.strip(way, TAXIWAY_WIDTH / 2), "taxiway")
        land.mark(geometry.strip(way, 0.35), "yellow paint")


def _aircraft(land: Landscape, frame: Frame, u: float, v: float, turn: float, span: float, tone: float) -> None:
    """Park an aircraft, its nose along `turn` in the frame."""
    own = Frame(frame.place((u, v)), frame.angle + turn)
    land.boxes.append(Box(own.centre, 1.1 * span, 0.11 * span, own.angle, 5.5, "white car", tone))
    for side in (-1, 1):
        for root, tip, sweep, reach in ((0.10, -0.14, 0.12, 0.5), (-0.47, -0.55, 0.07, 0.19)):
            wing = np.array([(root, 0.03), (root - sweep, 0.03), (tip - 0.06, reach), (tip, reach)])
            land.mark(shapely.Polygon(own.place(wing * span * (1, side))), "roof grey metal", 0.7)


def _terminal(land: Landscape, rng: np.random.Generator, frame: Frame, length: float) -> None:
    """Build apron, terminal, piers, hangars and the car park between the taxiway and the city."""
    apron = min(0.45 * length, 760.0)
    land.paved(frame.polygon(0, TAXI - 75, apron, 150), "apron")
    land.building(frame.polygon(0, TAXI - 158, 0.55 * apron, 40), 18.0, "terminal")
    for u in np.arange(-0.46 * apron, 0.46 * apron, rng.uniform(44, 52)):
        if abs(u) < 0.26 * apron:
            land.building(frame.polygon(u + 9, TAXI - 129, 3.5, 18), 6.0, "terminal")
        if rng.random() < 0.62:
            span = float(rng.choice([33.0, 36.0, 36.0, 44.0]))
            _aircraft(land, frame, u, TAXI - 105, -np.pi / 2, span, rng.uniform(-0.6, 0.3))
    for k, u in enumerate(np.array([-0.40, -0.33, 0.34, 0.41]) * length):
        land.building(frame.polygon(u, TAXI - 85, 62, 56), 20.0, "factory")
        land.paved(frame.polygon(u, TAXI - 34, 66, 46), "apron")
        if k % 2:
            _aircraft(land, frame, u, TAXI - 36, np.pi / 2, 34.0, 0.0)
    block = Block(land, frame.polygon(0, -DEPTH / 2 + 20, 0.6 * apron, 38), rng)
    uses.car_park(block.part(frame.polygon(0, -DEPTH / 2 + 20, 0.5 * apron, 30)), 0.6)
    block.plant(9.0)
    u, near, far = 0.3 * apron, -DEPTH / 2 - 2, TAXI - 189
    access = geometry.chaikin(frame.line((-u, near), (-u, far), (u, far), (u, near)), 2)
    land.road(geometry.resample(access, 12.0), 11.0, "street")


def build(land: Landscape, rng: np.random.Generator, frame: Frame) -> shapely.Geometry:
    """Build an airport into a frame; return the land it takes, up to its perimeter road."""
    zone = frame.outline
    land.patch(zone.buffer(12), "grass", 0.5, frame.angle)
    for centre in frame.place(rng.uniform(-0.5, 0.5, (18, 2)) * frame.size):
        mown = Frame(centre, frame.angle).polygon(0, 0, rng.uniform(60, 300), rng.uniform(20, 90)).intersection(zone)
        land.patch(mown, str(rng.choice(["dry grass", "grass", "lawn"])), rng.uniform(-0.4, 0.6), frame.angle)
    length = frame.length - 180.0
    _runway(land, rng, frame, length)
    _taxiways(land, rng, frame, length)
    _terminal(land, rng, frame, length)
    land.road(geometry.resample(shapely.get_coordinates(zone.buffer(4.0).exterior), 20.0), 15.0, "avenue")
    return zone
