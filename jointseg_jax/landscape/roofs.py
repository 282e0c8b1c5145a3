"""Roofs: pitched ones in sunlit and shaded facets, flat ones with parapets, plant and skylights."""

import numpy as np
import shapely

from jointseg_jax.landscape import geometry
from jointseg_jax.landscape.canvas import Shape
from jointseg_jax.landscape.geometry import Frame
from jointseg_jax.landscape.materials import Palette
from jointseg_jax.landscape.model import Box, Feature
from jointseg_jax.landscape.noise import choose
from jointseg_jax.landscape.sky import Sun

# Roof materials by kind of building, with their weights.
ROOFS: dict[str, dict[str, float]] = {
    "house": {"tile red": 3, "tile grey": 4, "tile brown": 3, "roof flat": 2, "roof blue": 0.7, "roof grey metal": 0.7},
    "villa": {"tile red": 4, "tile brown": 4, "tile grey": 2},
    "old house": {"tile grey": 6, "tile brown": 3, "tile red": 1.5, "roof flat": 2.5, "roof blue": 0.5},
    "shed": {"roof blue": 2, "roof grey metal": 3, "roof red": 1, "tile grey": 2},
    "slab": {"roof flat": 5, "tile red": 1.2, "tile brown": 1.0, "roof bitumen": 1.2},
    "tower": {"roof flat": 6, "roof bitumen": 1.0, "roof white": 0.3},
    "block": {"roof flat": 5, "roof bitumen": 1.5, "roof white": 1.0, "roof grey metal": 1},
    "mall": {"roof flat": 2, "roof white": 2, "roof grey metal": 2, "roof bitumen": 0.7},
    "school": {"roof flat": 4, "tile red": 1.5, "roof red": 0.6},
    "factory": {"roof blue": 4, "roof grey metal": 3, "roof white": 2.2, "roof red": 1.0, "roof green": 0.4},
    "tank": {"roof white": 3, "roof grey metal": 1},
    "terminal": {"roof white": 2, "roof grey metal": 2},
}
PITCHED = ("tile red", "tile grey", "tile brown")
METAL = ("roof blue", "roof grey metal", "roof white", "roof red", "roof green")
SMALL = ("house", "villa", "old house", "shed")
PITCH, LOW_PITCH = 0.48, 0.14  # radians


def _facing(direction: np.ndarray, pitch: float, sun: Sun) -> float:
    """Return the light on a roof facet relative to flat ground, softened by the sky."""
    catch = float(direction @ np.asarray(sun.towards)) / sun.rise
    return 0.25 + 0.75 * max(0.0, float(np.cos(pitch)) + float(np.sin(pitch)) * catch)


def _pitched(
    roof: Frame, look: str, tone: float, hip: float, pitch: float, sun: Sun, palette: Palette
) -> list[tuple[shapely.Polygon, int]]:
    """Paint a gabled (hip = 0) or hipped roof over the rectangle of a frame, its ridge along the frame."""
    u, v = roof.size / 2
    ridge = u - min(hip * v, 0.9 * u)
    facets: list[tuple] = [((-u, v * side), (u, v * side), (ridge, 0), (-ridge, 0)) for side in (-1, 1)]
    facets += [((u * end, -v), (u * end, v), (ridge * end, 0)) for end in (-1, 1)] if hip > 0 else []
    shapes = []
    for corners, outward in zip(facets, ((0, -1), (0, 1), (-1, 0), (1, 0)), strict=False):
        light = _facing(roof.place(outward) - roof.centre, pitch, sun)
        shapes.append((shapely.Polygon(roof.line(*corners)), palette.ink(look, tone, roof.angle + np.pi / 2, light)))
    return shapes


def _flat(
    roof: Feature, look: str, tone: float, draws: np.random.Generator, sun: Sun, palette: Palette
) -> tuple[list[Shape], list[Box]]:
    """Paint a flat roof with a bright parapet, the parapet's inner shadow, solar panels and plant."""
    outline, frame = roof.geometry, geometry.frame_of(roof.geometry)
    inner = outline.buffer(-0.7, join_style="mitre")
    lit = inner.intersection(shapely.transform(inner, lambda p: p - 0.8 * np.array(sun.towards)))
    shapes: list[Shape] = [
        (outline, palette.ink(look, tone + 0.45)),
        (inner, palette.ink(look, tone - 0.3, 0.0, 0.62)),
        (lit, palette.ink(look, tone, frame.angle)),
    ]
    if frame.length > 45 and draws.random() < 0.6:
        # Large roofs are laid in sections that have aged differently.
        for u in np.arange(-frame.length / 2, frame.length / 2, draws.uniform(14, 26)):
            section = frame.polygon(u, 0, draws.uniform(8, 13), frame.width * 1.2).intersection(lit)
            shapes.append((section, palette.ink(look, tone + draws.uniform(-0.3, 0.3), frame.angle)))
    if draws.random() < 0.12 and frame.width > 12:
        row = frame.polygon(draws.uniform(-0.2, 0.2) * frame.length, 0, 0.4 * frame.length, 0.4 * frame.width)
        shapes.append((row.intersection(inner), palette.ink("solar", 0.0, frame.angle)))
    plant = []
    room = outline.buffer(-2.0)
    for _ in range(int(np.clip(outline.area / 110, 1, 26) * draws.uniform(0.5, 1.2)) if roof.name != "tank" else 0):
        at = frame.place(draws.uniform(-0.4, 0.4, 2) * frame.size)
        if shapely.contains_xy(room, *at):
            length, width = draws.uniform(1.6, min(6.0, 0.28 * frame.width + 1.5), 2)
            top, what = roof.height + draws.uniform(1.2, 3.2), "machine" if draws.random() < 0.5 else "roof flat"
            plant.append(Box(at, length, width, frame.angle, top, what, draws.uniform(-0.8, 0.8)))
    return shapes, plant


def _metal(
    hall: Feature, look: str, tone: float, draws: np.random.Generator, sun: Sun, palette: Palette
) -> tuple[list[Shape], list[Box]]:
    """Paint a large hall: low-pitched bays across its width, skylight strips and ridge ventilators."""
    frame = geometry.frame_of(hall.geometry)
    bays = max(1, round(frame.width / draws.uniform(18, 26)))
    depth = frame.width / bays
    shapes: list[tuple[shapely.Polygon, int]] = []
    boxes: list[Box] = []
    skylights, vents = draws.random() < 0.55, draws.random() < 0.4
    for v in -frame.width / 2 + (np.arange(bays) + 0.5) * depth:
        bay = Frame(frame.place((0.0, v)), frame.angle, frame.length, depth)
        shapes += _pitched(bay, look, tone + draws.uniform(-0.12, 0.12), 0.0, LOW_PITCH, sun, palette)
        for u in np.arange(-bay.length / 2 + 6, bay.length / 2 - 4, 9.0) if skylights else ():
            ink = palette.ink("roof white", -0.6, 0.0, 0.85)
            shapes += [(bay.polygon(u, side * depth / 4, 1.0, 0.34 * depth), ink) for side in (-1, 1)]
        for u in np.arange(-bay.length / 2 + 5, bay.length / 2 - 4, 12.0) if vents else ():
            boxes.append(Box(bay.place((u, 0.0)), 2.0, 1.6, bay.angle, hall.height + 1.2, "machine", 0.2))
    return [(shape.intersection(hall.geometry), ink) for shape, ink in shapes], boxes


def paint(building: Feature, index: int, seed: int, sun: Sun, palette: Palette) -> tuple[list[Shape], list[Box]]:
    """Return what to paint for one building: shapes with their inks, and boxes that stand on the roof.

    `index` and `seed` fix the roof's material and details, the same in every year.
    """
    draws = np.random.default_rng([seed, index])
    look = choose(draws, ROOFS[building.name])
    tone = float(np.clip(draws.normal(0, 0.45), -1, 1))
    if look in PITCHED or (building.name in SMALL and look in METAL):
        if len(building.geometry.exterior.coords) == 5:
            hip = 1.0 if building.name == "villa" or draws.random() < 0.25 else 0.0
            return _pitched(geometry.frame_of(building.geometry), look, tone, hip, PITCH, sun, palette), []
        look = "roof flat"
    large = look in METAL and building.name not in ("block", "tank")
    return (_metal if large else _flat)(building, look, tone, draws, sun, palette)
