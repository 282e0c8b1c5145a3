"""Draw a landscape as it stood in one year: canvas, heights, label and land cover."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jointseg_jax.data.synthetic import light, noise, paint, roadpaint, roofs, surface, trees
from jointseg_jax.data.synthetic.model import IMPERVIOUS, REGIONS, Box, Feature, LandCover, Landscape

CODE = {"road": LandCover.ROAD, "paved": LandCover.PAVED, "building": LandCover.BUILDING}
RELIEF_EXAGGERATION = 1.25  # sunny slopes also show more sunlit crown, which a relief alone does not tell
BRIDGE_CLEARANCE = 7.0  # metres above the water
# What paved areas are made of, by name.
SURFACES = {
    "yard": "yard",
    "courtyard": "yard",
    "alley": "alley",
    "plaza": "plaza",
    "car park": "car park",
    "apron": "apron",
    "runway": "runway",
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


def label_of(features: list[Feature], shape: tuple[int, int]) -> np.ndarray:
    """Rasterise features into the label, uint8 [height, width]: 1 impervious, by the pixel-centre rule."""
    return paint.raster(((f.area(), 1) for f in features), shape, scale=1, dtype="uint8")


def _cover(land: Landscape, canvas: paint.Canvas, features: list[Feature], water: np.ndarray) -> np.ndarray:
    """Return the land cover: the painted ground, water, then the impervious features by kind."""
    ground = canvas.palette.table().cover[canvas.inks[:: paint.SUB, :: paint.SUB]]
    ground[np.isin(ground, IMPERVIOUS)] = LandCover.BARE
    ground[water] = LandCover.WATER
    shapes = [
        (f.area(), int(CODE[f.kind])) for kind in ("paved", "road", "building") for f in features if f.kind == kind
    ]
    sealed = paint.raster(shapes, land.shape, scale=1, dtype="uint8")
    return np.where(sealed > 0, sealed, ground)


def _heights(land: Landscape, features: list[Feature], boxes: list[Box], bridges: np.ndarray) -> np.ndarray:
    """Return the height above ground of what is built, float32 [height, width], metres."""
    shapes: list[tuple] = [(f.geometry, round(10 * f.height)) for f in features if f.kind == "building"]
    shapes += [
        (f.area(), round(10 * land.decks[f.name])) for f in features if f.kind == "road" and f.name in land.decks
    ]
    if boxes:
        shapes += paint.quads(_corners(boxes), [round(10 * b.height) for b in boxes])
    fine = paint.raster(shapes, land.shape, scale=paint.SUB, dtype="uint16")
    height = sum(fine[i :: paint.SUB, j :: paint.SUB].astype(np.float32) for i in range(2) for j in range(2)) / 40.0
    return np.maximum(height, bridges)


def _corners(boxes: list[Box]) -> np.ndarray:
    values = np.array([(b.x, b.y, b.length, b.width, b.angle) for b in boxes])
    return roadpaint.rectangles(values[:, :2], values[:, 2], values[:, 3], values[:, 4])


def _draw_features(
    land: Landscape, canvas: paint.Canvas, present: list[tuple[int, Feature]], sun: light.Sun, seeds: tuple[int, int]
) -> list[Box]:
    """Paint paved areas, roads, buildings and everything on them; return the bodies that cast shadows."""
    palette = canvas.palette
    rng = np.random.default_rng(seeds)
    tones = np.clip(rng.normal(0, 0.45, 997), -1, 1)
    paved = [
        (f.geometry, palette.ink(SURFACES.get(f.name, "yard"), tones[i % 997])) for i, f in present if f.kind == "paved"
    ]
    canvas.shapes(paved)
    roads = [(i, f) for i, f in present if f.kind == "road"]
    canvas.shapes(roadpaint.surfaces(roads, tones, palette))
    canvas.shapes(roadpaint.parapets(roads, [p.geometry for p in land.water], palette))
    canvas.shapes(roadpaint.markings(roads, roadpaint.overlap(roads, land.shape), palette))
    large = [(i, f) for i, f in roads if roadpaint.style_of(f).rank >= 3]
    canvas.shapes(roadpaint.crossings(large, roadpaint.overlap(large, land.shape), palette))
    return [box for i, road in roads for box in roadpaint.traffic(np.random.default_rng([*seeds, i]), road)]


def _standing(land: Landscape, label: np.ndarray, water: np.ndarray, year: int) -> np.ndarray:
    """Return the trees [n, 5] that stand in a year: on open ground, or in pavement where they were planted there."""
    if not land.trees:
        return np.zeros((0, 5))
    every = np.concatenate(land.trees)
    reach = every[:, 2]
    inside = (every[:, 0] > -reach) & (every[:, 1] > -reach)
    inside &= (every[:, 0] < land.shape[1] + reach) & (every[:, 1] < land.shape[0] + reach) & (every[:, 6] <= year)
    every = every[inside]
    rows = np.clip(every[:, 1].astype(int), 0, land.shape[0] - 1)
    cols = np.clip(every[:, 0].astype(int), 0, land.shape[1] - 1)
    sealed = label[rows, cols] > 0
    stands = np.where(every[:, 5] > 0, sealed, ~sealed & ~water[rows, cols])
    # A crown may hang over the edge of a road, but a tree does not grow right beside it.
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y = np.clip((every[:, 1] + 0.6 * dy * reach[inside]).astype(int), 0, land.shape[0] - 1)
        x = np.clip((every[:, 0] + 0.6 * dx * reach[inside]).astype(int), 0, land.shape[1] - 1)
        stands &= (every[:, 5] > 0) | (label[y, x] == 0)
    return every[stands, :5]


def _bridges(label: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Return the height of bridge decks above the water, rising from the banks; float32 [height, width], metres."""
    deck = (label > 0) & water
    if not deck.any():
        return np.zeros(label.shape, np.float32)
    inland = ndimage.distance_transform_edt(water).astype(np.float32)
    return np.where(deck, np.minimum(0.35 * inland, BRIDGE_CLEARANCE), 0).astype(np.float32)


def draw(land: Landscape, year: int, sun: light.Sun) -> Drawing:
    """Draw a landscape as it stood in a year."""
    region = REGIONS.index(land.region)
    seeds = (land.seed, region)
    present = [(i, f) for i, f in enumerate(land.features) if f.year_built <= year]
    features = [f for _, f in present]
    label = label_of(features, land.shape)
    water = paint.mask([p.geometry for p in land.water if p.year <= year < p.until], land.shape)
    canvas = paint.Canvas(land.shape)
    texture = surface.textures(noise.stream(land.seed, region, "texture"), land.shape)
    tone = np.clip(0.42 * texture.patch + 0.3 * texture.blotch + 0.07 * texture.grain, -1, 1)
    if land.tone is not None:
        tone = np.where(np.isnan(land.tone), tone, land.tone)
    canvas.ground(land.base, tone)
    canvas.patches(land.patches, year)
    canvas.patches(land.water, year)
    landcover = _cover(land, canvas, features, water)
    boxes = _draw_features(land, canvas, present, sun, seeds)
    canvas.patches(land.overlays, year)
    boxes += [b for b in land.boxes if b.year <= year]
    shapes: list[roofs.Shape] = []
    for index, feature in present:
        if feature.kind == "building":
            painted, plant = roofs.paint(feature, index, land.seed, sun, canvas.palette)
            shapes += painted
            boxes += plant
    canvas.shapes(shapes)
    if boxes:
        canvas.shapes(paint.quads(_corners(boxes), [canvas.palette.ink(b.look, b.tone) for b in boxes]))
    height = _heights(land, features, boxes, _bridges(label, water))
    crowns, hue = trees.canopy(_standing(land, label, water, year), land.shape)
    shade = (
        np.ones(land.shape, np.float32)
        if land.relief is None
        else light.hillshade(RELIEF_EXAGGERATION * land.relief, 1.0, sun)
    )
    image = surface.render(
        canvas.inks, canvas.palette.table(), texture, surface.Above(height, crowns, hue), shade, sun,
        np.random.default_rng([*seeds, year]),
    )  # fmt: skip
    return Drawing(image, label, landcover, np.maximum(height, crowns))
