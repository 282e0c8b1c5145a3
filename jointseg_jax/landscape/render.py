"""Rendering: a landscape in one year as label, land cover and heights, and its reflectance as a sensor sees it."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jointseg_jax.landscape import canvas, materials, noise, roads, roofs, sky, trees
from jointseg_jax.landscape.canvas import SUB, Canvas, Shape
from jointseg_jax.landscape.materials import InkTable
from jointseg_jax.landscape.model import IMPERVIOUS, REGIONS, Box, Feature, LandCover, Landscape
from jointseg_jax.rasters.blocks import block_mean

RELIEF_EXAGGERATION = 1.25  # sunny slopes also show more sunlit crown, which a relief alone does not tell
BRIDGE_CLEARANCE = 7.0  # metres above the water
CHUNK = 240  # rows rendered at a time
PSF_SIGMA = 0.6  # pixels
HAZE = np.array([0.011, 0.008, 0.005, 0.002, 0.001, 0.0], np.float32)
NOISE = 0.0016
COVER = {"paved": LandCover.PAVED, "road": LandCover.ROAD, "building": LandCover.BUILDING}  # in burning order
# What paved areas are made of, by name, where that differs.
SURFACES = {
    "courtyard": "yard",
    "taxiway": "runway",
    "running track": "track red",
    "court": "court green",
    "blue court": "court blue",
    "path": "footpath",
    "quay": "apron",
    "revetment": "alley",
}


@dataclass(frozen=True)
class Drawing:
    """What one year looks like: reflectance float32 [height, width, 6], label and landcover uint8, heights float32."""

    reflectance: np.ndarray
    label: np.ndarray
    landcover: np.ndarray
    height: np.ndarray


@dataclass(frozen=True)
class Texture:
    """Noise fields at 1 m, zero mean and unit deviation, float32 [height, width]; see the table of materials."""

    grain: np.ndarray
    blotch: np.ndarray
    patch: np.ndarray
    vigor: np.ndarray


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> Texture:
    waves = ((4.0, 2.0, 0.6), (16.0, 3.0, 2.0), (110.0, 12.0, 2.6), (160.0, 4.0, 2.0))
    return Texture(*(noise.fractal(rng, shape, longest=a, shortest=b, slope=c) for a, b, c in waves))


def _cover(land: Landscape, drawn: Canvas, features: list[Feature], water: np.ndarray) -> np.ndarray:
    """Return the land cover: the painted ground, water, then the impervious features by kind."""
    ground = drawn.palette.table().cover[drawn.inks[::SUB, ::SUB]]
    ground[np.isin(ground, IMPERVIOUS)] = LandCover.BARE
    ground[water] = LandCover.WATER
    shapes = [(f.area, int(code)) for kind, code in COVER.items() for f in features if f.kind == kind]
    sealed = canvas.raster(shapes, land.shape).astype(np.uint8)
    return np.where(sealed > 0, sealed, ground)


def _heights(land: Landscape, features: list[Feature], boxes: list[Box], deck: np.ndarray) -> np.ndarray:
    """Return the height above ground of what is built, float32 [height, width], metres; `deck` marks bridges."""
    shapes: list[Shape] = [
        (f.area, round(10 * f.height)) for kind in ("building", "road") for f in features if f.kind == kind and f.height
    ]
    shapes += canvas.boxes_as_shapes(boxes, [round(10 * b.height) for b in boxes])
    fine = canvas.raster(shapes, land.shape, SUB)
    height = block_mean(fine.astype(np.float32), SUB) / np.float32(10.0)
    if not deck.any():
        return height
    # Decks rise from the banks.
    inland = ndimage.distance_transform_edt(deck).astype(np.float32)
    return np.maximum(height, np.minimum(0.35 * inland, BRIDGE_CLEARANCE))


def _paint(
    land: Landscape, drawn: Canvas, present: list[tuple[int, Feature]], year: int, sun: sky.Sun, seeds: tuple[int, int]
) -> list[Box]:
    """Paint features, markings, roofs and boxes; return the boxes, which cast shadows."""
    palette = drawn.palette
    tones = np.clip(np.random.default_rng(seeds).normal(0, 0.45, 997), -1, 1)
    paved = [(i, f) for i, f in present if f.kind == "paved"]
    drawn.shapes((f.geometry, palette.ink(SURFACES.get(f.name, f.name), tones[i % 997])) for i, f in paved)
    ways = [(i, f) for i, f in present if f.kind == "road"]
    roads.paint(drawn, ways, tones)
    drawn.patches(land.overlays, year)
    boxes = [box for i, road in ways for box in roads.traffic(np.random.default_rng([*seeds, i]), road)]
    boxes += [b for b in land.boxes if b.year <= year]
    shapes: list[Shape] = []
    for index, feature in present:
        if feature.kind == "building":
            painted, plant = roofs.paint(feature, index, land.seed, sun, palette)
            shapes += painted
            boxes += plant
    drawn.shapes(shapes)
    drawn.shapes(canvas.boxes_as_shapes(boxes, [palette.ink(b.look, b.tone) for b in boxes]))
    return boxes


def _standing(land: Landscape, label: np.ndarray, water: np.ndarray, year: int) -> np.ndarray:
    """Return the trees [n, 5] that stand in a year: on open ground, or in pavement where they were planted there."""
    every = np.concatenate([np.zeros((0, 7)), *land.trees])
    x, y, reach, _, _, paved, since = every.T
    height, width = land.shape
    inside = (x > -reach) & (y > -reach) & (x < width + reach) & (y < height + reach) & (since <= year)
    every = every[inside]
    x, y, reach, _, _, paved, _ = every.T

    def at(grid: np.ndarray, dx: float, dy: float) -> np.ndarray:
        rows, cols = (y + dy * reach).astype(int), (x + dx * reach).astype(int)
        return grid[np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)] > 0

    # A crown may hang over the edge of a road, but a tree does not grow right beside it.
    open_ground = ~at(water, 0, 0)
    for dx, dy in ((0, 0), (-0.6, 0), (0.6, 0), (0, -0.6), (0, 0.6)):
        open_ground &= ~at(label, dx, dy)
    return every[np.where(paved > 0, at(label, 0, 0), open_ground), :5]


def draw(land: Landscape, year: int, sun: sky.Sun, weather: int) -> Drawing:
    """Draw a landscape as it stood in a year; `weather` seeds haze and noise."""
    region = REGIONS.index(land.region)
    seeds = (land.seed, region)
    present = [(i, f) for i, f in enumerate(land.features) if f.year_built <= year]
    features = [f for _, f in present]
    label = canvas.mask([f.area for f in features], land.shape).astype(np.uint8)
    water = canvas.mask([p.geometry for p in land.water if p.year <= year < p.until], land.shape)
    drawn = Canvas(land.shape)
    texture = _texture(noise.stream(land.seed, region, "texture"), land.shape)
    tone = np.clip(0.42 * texture.patch + 0.3 * texture.blotch + 0.07 * texture.grain, -1, 1)
    if land.tone is not None:
        tone = np.where(np.isnan(land.tone), tone, land.tone)
    drawn.ground(land.base, tone)
    drawn.patches(land.patches + land.water, year)
    landcover = _cover(land, drawn, features, water)
    boxes = _paint(land, drawn, present, year, sun, seeds)
    height = _heights(land, features, boxes, (label > 0) & water)
    crowns, hue = trees.canopy(_standing(land, label, water, year), land.shape)
    shade = np.ones(land.shape, np.float32)
    if land.relief is not None:
        shade = sky.slope_light((RELIEF_EXAGGERATION * land.relief).astype(np.float32), sun)
    rng = np.random.default_rng([*seeds, weather])
    ground = _surface(drawn.inks, drawn.palette.table(), texture)
    leaves = (
        trees.tints()[hue]
        * (_crown_light(crowns, sun) * (1.0 + 0.10 * texture.grain + 0.07 * texture.blotch))[..., None]
    )
    ground += np.clip((crowns - height) / 1.5, 0.0, 0.96)[..., None] * (leaves - ground)
    image = _seen(ground, height, crowns, shade, sun, rng)
    return Drawing(image, label, landcover, np.maximum(height, crowns))


def _rows(table: InkTable, ink: np.ndarray, top: int, wave: np.ndarray) -> np.ndarray:
    """Return the brightness of furrows, joints and wheel tracks, relative to 1."""
    y, x = np.ogrid[top : top + ink.shape[0], 0 : ink.shape[1]]
    phase = table.wave_x[ink] * x.astype(np.float32) + table.wave_y[ink] * y.astype(np.float32)
    phase += wave
    brightness = np.sin(phase)
    brightness *= table.rows[ink]
    tram = table.tram[ink]
    if tram.any():
        position = phase * (table.period[ink] / np.float32(2 * np.pi * materials.TRAM_SPACING))
        position -= np.floor(position)
        near = np.abs(position - 0.5) * np.float32(materials.TRAM_SPACING)
        brightness -= tram * np.clip(1.5 - np.abs(near - 1.0), 0.0, 1.0)
    return brightness


def _surface(inks: np.ndarray, table: InkTable, texture: Texture) -> np.ndarray:
    """Return the reflectance of the ground and of what is built in flat light, float32 [height, width, 6].

    `inks` is int32 [height * SUB, width * SUB]; `table` tells what they look like.
    """
    image = np.empty((*texture.grain.shape, 6), np.float32)
    for top in range(0, len(image), CHUNK):
        rows = slice(top, top + CHUNK)
        fine = inks[top * SUB : (top + CHUNK) * SUB]
        ink = fine[::SUB, ::SUB]
        shine = texture.grain[rows] * table.grain[ink]
        shine += texture.blotch[rows] * table.blotch[ink]
        shine += texture.patch[rows] * table.patch[ink]
        shine += _rows(table, ink, top, 0.9 * texture.patch[rows] + 0.25 * texture.blotch[rows])
        shine = np.maximum(1.0 + shine, 0.3) / np.float32(SUB * SUB)
        lush = np.clip(texture.vigor[rows], -2.5, 2.5) * table.vigor[ink]
        for band in range(6):
            spectrum = table.spectrum[:, band]
            value = sum(spectrum[fine[i::SUB, j::SUB]] for i in range(SUB) for j in range(SUB))
            image[rows, :, band] = value * (shine * np.exp(lush * materials.LUSH[band]))
    return image


def _crown_light(crowns: np.ndarray, sun: sky.Sun) -> np.ndarray:
    """Return how crowns catch the light: bright towards the sun, dark away from it and between them."""
    gy, gx = np.gradient(ndimage.gaussian_filter(crowns, 0.5))
    facing = -(gx * np.float32(sun.towards[0]) + gy * np.float32(sun.towards[1]))
    return np.clip(0.97 + 0.20 * facing, 0.55, 1.40)


def _seen(
    image: np.ndarray,
    height: np.ndarray,
    crowns: np.ndarray,
    shade: np.ndarray,
    sun: sky.Sun,
    rng: np.random.Generator,
) -> np.ndarray:
    """Light a surface and look at it through the air: shadows, haze, blur and noise.

    Args:
        image: float32 [height, width, 6], reflectance in flat light; overwritten.
        height: heights of what is built, metres.
        crowns: heights of trees, metres.
        shade: float32 [height, width], light on the relief relative to flat ground.
        sun: the sun.
        rng: for haze and sensor noise.
    """
    tall = np.maximum(height, crowns)
    # Crowns let light through, so one shades the next only in part.
    direct = 1.0 - sky.shadows(tall, sun) * np.where(crowns > height, np.float32(0.72), np.float32(1.0))
    direct *= shade
    open_sky = sky.openness(tall)
    veil = 1.0 + 0.35 * noise.fractal(rng, shade.shape, longest=900.0, shortest=200.0, slope=3.0)
    for band, diffuse in enumerate(sky.DIFFUSE):
        value = image[..., band] * ((1 - diffuse) * direct + diffuse * open_sky) + HAZE[band] * veil
        value = ndimage.gaussian_filter(value, PSF_SIGMA, truncate=3.0)
        value += NOISE * rng.standard_normal(value.shape, dtype=np.float32) * (0.5 + value)
        image[..., band] = np.clip(value, 0.002, 0.95)
    return image
