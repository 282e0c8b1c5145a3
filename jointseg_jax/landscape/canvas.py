"""The canvas: a supersampled lattice of inks, painted in order, and the rasters made of shapes."""

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from affine import Affine

from jointseg_jax.landscape.materials import TONES, Palette
from jointseg_jax.landscape.model import NATURAL, Box, Patch
from jointseg_jax.rasters.burn import burn

SUB = 2  # canvas cells per metre; their mean makes edges smooth
Shape = tuple[shapely.Geometry | dict, int]


def raster(
    shapes: Iterable[tuple[shapely.Geometry | dict, float]], shape: tuple[int, int], scale: int = 1
) -> np.ndarray:
    """Rasterise (geometry, value) pairs, later over earlier, by the pixel-centre rule; uint16, 0 elsewhere."""
    return burn(shapes, np.zeros((shape[0] * scale, shape[1] * scale), np.uint16), Affine.scale(1 / scale))


def mask(geometries: Iterable[shapely.Geometry], shape: tuple[int, int]) -> np.ndarray:
    """Return bool [height, width] at 1 m: the pixels whose centre any of the geometries covers."""
    return raster(((g, 1) for g in geometries), shape) > 0


def coverage(geometries: Iterable[shapely.Geometry], shape: tuple[int, int]) -> np.ndarray:
    """Return uint8 [height, width] at 1 m: how many of the geometries cover each pixel."""
    return burn([(g, 1) for g in geometries], np.zeros(shape, np.uint8), add=True)


def rectangles(rows: np.ndarray | Sequence[tuple[float, ...]], values: Sequence[int]) -> list[Shape]:
    """Return rectangles as shapes to burn; a row is x, y, length, width, angle (radians).

    Plain dictionaries are several times faster to burn than polygons.
    """
    x, y, length, width, angle = np.asarray(rows, float).reshape(-1, 5).T
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = np.stack([cos, sin], axis=-1) * length[:, None] / 2, np.stack([-sin, cos], axis=-1) * width[:, None] / 2
    corners = np.stack([x, y], axis=-1)[:, None] + np.stack([-u - v, u - v, u + v, v - u, -u - v], axis=1)
    return [({"type": "Polygon", "coordinates": [c]}, i) for c, i in zip(corners.tolist(), values, strict=True)]


def boxes_as_shapes(boxes: Sequence[Box], values: Sequence[int]) -> list[Shape]:
    """Return the outlines of boxes as shapes to burn."""
    return rectangles([(*b.centre, b.length, b.width, b.angle) for b in boxes], values)


class Canvas:
    """An int32 lattice of inks at SUB cells per metre, painted in order."""

    def __init__(self, shape: tuple[int, int]):
        self.palette = Palette()
        self.inks = np.zeros((shape[0] * SUB, shape[1] * SUB), np.int32)

    def ground(self, base: np.ndarray, tone: np.ndarray) -> None:
        """Fill the canvas from natural ground: `base` indexes model.NATURAL, `tone` is in -1..1, both at 1 m."""
        half = TONES // 2
        table = [[self.palette.ink(look, step / half) for step in range(-half, half + 1)] for look in NATURAL]
        level = np.clip(np.rint(tone * half), -half, half).astype(np.int8) + half
        self.inks[:] = np.array(table, np.int32)[base, level].repeat(SUB, axis=0).repeat(SUB, axis=1)

    def shapes(self, shapes: Iterable[Shape]) -> None:
        """Paint (geometry, ink) pairs in order."""
        burn(shapes, self.inks, Affine.scale(1 / SUB))

    def patches(self, patches: Iterable[Patch], year: int) -> None:
        """Paint the patches that are present in a year."""
        present = [p for p in patches if p.year <= year < p.until]
        self.shapes((p.geometry, self.palette.ink(p.look, p.tone, p.angle)) for p in present)
