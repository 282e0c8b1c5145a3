"""An airport: runway with its markings, taxiways, apron with aircraft, terminal, hangars, car park, perimeter road."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, homes, works
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import EARLIEST, Box, Landscape, Patch

LONG_SIDE, SHORT_SIDE = 1800, 1200  # metres; smaller scenes have no airport
DEPTH = 540.0
RUNWAY_WIDTH, TAXIWAY_WIDTH = 45.0, 21.0
AXIS = 150.0  # from the zone's middle line to the runway's, metres
TAXI = -35.0
YEAR = EARLIEST


def site(shape: tuple[int, int], avoid: shapely.Geometry) -> geometry.Frame | None:
    """Return the frame of an airport along a long side of the scene that keeps clear of some land, or None."""
    height, width = shape
    if max(shape) < LONG_SIDE or min(shape) < SHORT_SIDE:
        return None
    length = min(0.9 * max(shape) - 80, 3200.0)
    near, far = DEPTH / 2 + 45.0, min(shape) - DEPTH / 2 - 45.0
    for across in (near, far):
        centre = (width / 2, across) if width >= height else (across, height / 2)
        frame = geometry.Frame(np.array(centre), 0.0 if width >= height else np.pi / 2, length, DEPTH)
        # The runway lies on the side of the scene's edge.
        inward = np.array([width / 2, height / 2]) - frame.centre
        if (frame.place(np.array([0.0, 1.0])) - frame.centre) @ inward > 0:
            frame = geometry.Frame(frame.centre, frame.angle + np.pi, length, DEPTH)
        if not frame.polygon(0, 0, length + 60, DEPTH + 60).intersects(avoid):
            return frame
    return None


def _runway(land: Landscape, rng: np.random.Generator, frame: geometry.Frame) -> float:
    """Lay the runway, its markings and the rubber that wheels leave; return its length."""
    length = frame.length - 180.0
    land.paved(frame.polygon(0, AXIS, length, RUNWAY_WIDTH + 14), YEAR, "taxiway")
    land.paved(frame.polygon(0, AXIS, length, RUNWAY_WIDTH), YEAR, "runway")

    def mark(u: float, v: float, along: float, across: float, look: str = "white paint", tone: float = 0.2) -> None:
        land.overlays.append(Patch(frame.polygon(u, AXIS + v, along, across), look, frame.angle, tone))

    for at in np.arange(-length / 2, length / 2, 90.0):
        mark(at + 45, 0, 88, RUNWAY_WIDTH - 1, "runway", float(rng.uniform(-0.25, 0.25)))
    for end in (-1, 1):
        for _ in range(26):
            at = end * (length / 2 - rng.uniform(150, 620))
            mark(
                at,
                rng.normal(0, 4.5),
                rng.uniform(60, 240),
                rng.uniform(0.8, 2.4),
                "new asphalt",
                rng.uniform(-0.2, 0.9),
            )
        for k in range(-6, 7):
            if k:
                mark(end * (length / 2 - 24), 3.2 * k, 30, 1.7)
        for side in (-1, 1):
            mark(end * (length / 2 - 330), side * 9.5, 48, 7.0)
            for k in (150, 500, 650):
                mark(end * (length / 2 - k), side * 9.0, 22, 3.6)
    for at in np.arange(-length / 2 + 75, length / 2 - 60, 50.0):
        mark(at, 0, 30, 0.9)
    for side in (-1, 1):
        mark(0, side * (RUNWAY_WIDTH / 2 - 1), length, 0.9)
    return length


def _taxiways(land: Landscape, rng: np.random.Generator, frame: geometry.Frame, length: float) -> None:
    lines = [np.array([[-length / 2 + 12, TAXI], [length / 2 - 12, TAXI]])]
    for u in (-length / 2 + 14, length / 2 - 14):
        lines.append(np.array([[u, TAXI], [u, AXIS]]))
    for u in np.linspace(-0.32, 0.32, 4) * length:
        lean = rng.choice([-1, 1]) * rng.uniform(60, 130)
        lines.append(
            geometry.chaikin(
                np.array([[u, TAXI], [u + 0.25 * lean, TAXI + 45], [u + lean, AXIS - 50], [u + 1.5 * lean, AXIS]]), 3
            )
        )
    for line in lines:
        way = shapely.LineString(frame.place(line))
        land.paved(way.buffer(TAXIWAY_WIDTH / 2), YEAR, "taxiway")
        land.overlays.append(Patch(way.buffer(0.35), "yellow paint"))


def _aircraft(
    land: Landscape, frame: geometry.Frame, u: float, v: float, turn: float, span: float, tone: float
) -> None:
    """Park an aircraft, its nose along `turn` in the frame."""
    own = geometry.Frame(frame.place(np.array([u, v])), frame.angle + turn, 1, 1)
    x, y = own.centre
    land.boxes.append(Box(x, y, 1.1 * span, 0.11 * span, own.angle, 5.5, "white car", tone, YEAR))
    for side in (-1, 1):
        for root, tip, sweep, reach in ((0.10, -0.14, 0.12, 0.5), (-0.47, -0.55, 0.07, 0.19)):
            wing = (
                np.array([(root, 0.03), (root - sweep, 0.03), (tip - 0.06, reach), (tip, reach)])
                * span
                * np.array([1, side])
            )
            land.overlays.append(Patch(shapely.Polygon(own.place(wing)), "roof grey metal", tone=0.7, year=YEAR))


def _terminal(land: Landscape, rng: np.random.Generator, frame: geometry.Frame, length: float) -> None:
    """Build apron, terminal, piers, hangars and the car park between the taxiway and the city."""
    apron_length = min(0.45 * length, 760.0)
    land.paved(frame.polygon(0, TAXI - 75, apron_length, 150), YEAR, "apron")
    for at in np.arange(-apron_length / 2, apron_length / 2, 75.0):
        for row in range(2):
            tone = float(rng.uniform(-0.4, 0.4))
            land.overlays.append(
                Patch(frame.polygon(at + 37, TAXI - 38 - 75 * row, 74.5, 74.5), "apron", frame.angle, tone)
            )
    hall = frame.polygon(0, TAXI - 158, 0.55 * apron_length, 40)
    land.building(hall, 18.0, YEAR, "terminal")
    stand = rng.uniform(44, 52)
    for u in np.arange(-0.46 * apron_length, 0.46 * apron_length, stand):
        pier = frame.polygon(u + 9, TAXI - 129, 3.5, 18)
        if abs(u) < 0.26 * apron_length:
            land.building(pier, 6.0, YEAR, "terminal")
        if rng.random() < 0.62:
            _aircraft(
                land,
                frame,
                u,
                TAXI - 105,
                -np.pi / 2,
                float(rng.choice([33.0, 36.0, 36.0, 44.0])),
                float(rng.uniform(-0.6, 0.3)),
            )
    for k, u in enumerate(np.array([-0.40, -0.33, 0.34, 0.41]) * length):
        land.building(frame.polygon(u, TAXI - 85, 62, 56), 20.0, YEAR, "factory")
        land.paved(frame.polygon(u, TAXI - 34, 66, 46), YEAR, "apron")
        if k % 2:
            _aircraft(land, frame, u, TAXI - 36, np.pi / 2, 34.0, 0.0)
    lot = frame.polygon(0, -DEPTH / 2 + 20, 0.5 * apron_length, 30)
    block = Block(frame.polygon(0, -DEPTH / 2 + 20, 0.6 * apron_length, 38), YEAR, 0.5, rng)
    works.car_park(land, block, lot, 0.6)
    homes.greenery(land, block, 7.0, 0.6)
    access = frame.place(
        np.array(
            [
                [-0.3 * apron_length, -DEPTH / 2 - 2],
                [-0.3 * apron_length, TAXI - 189],
                [0.3 * apron_length, TAXI - 189],
                [0.3 * apron_length, -DEPTH / 2 - 2],
            ]
        )
    )
    land.road(geometry.resample(geometry.chaikin(access, 2), 12.0), 11.0, YEAR, "street")


def build(land: Landscape, rng: np.random.Generator, frame: geometry.Frame) -> shapely.Geometry:
    """Build an airport into a frame; return the land it takes, up to its perimeter road."""
    zone = frame.polygon(0, 0, frame.length, frame.width)
    land.patches.append(Patch(zone.buffer(12), "grass", frame.angle, 0.5))
    for _ in range(18):
        u, v = rng.uniform(-0.5, 0.5, 2) * (frame.length, frame.width)
        look = str(rng.choice(["dry grass", "grass", "grass", "lawn"]))
        strip = frame.polygon(u, v, rng.uniform(60, 300), rng.uniform(20, 90)).intersection(zone)
        land.patches.append(Patch(strip, look, frame.angle, float(rng.uniform(-0.4, 0.6))))
    length = _runway(land, rng, frame)
    _taxiways(land, rng, frame, length)
    _terminal(land, rng, frame, length)
    ring = geometry.resample(shapely.get_coordinates(zone.buffer(4.0).exterior), 20.0)
    land.road(ring, 15.0, YEAR, "avenue")
    return zone
