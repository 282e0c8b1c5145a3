"""The canvas: a supersampled lattice of inks, each ink standing for a material in one tone, direction and light."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import shapely
from affine import Affine

from jointseg_jax.data.synthetic import materials, spectra
from jointseg_jax.data.synthetic.model import NATURAL, Patch
from jointseg_jax.rasters.burn import burn

TURNS, LIGHTS = 48, 50  # steps in which the direction of rows and the light of an ink are kept apart
SUB = 2  # canvas cells per metre; their mean makes edges smooth


def raster(
    shapes: Iterable[tuple[shapely.Geometry | dict, float]], shape: tuple[int, int], *, scale: int, dtype: str
) -> np.ndarray:
    """Rasterise (geometry, value) pairs, later over earlier, by the pixel-centre rule; 0 elsewhere."""
    return burn(shapes, np.zeros((shape[0] * scale, shape[1] * scale), dtype), Affine.scale(1 / scale))


def mask(geometries: Sequence[shapely.Geometry], shape: tuple[int, int]) -> np.ndarray:
    """Return bool [height, width] at 1 m: the pixels whose centre any of the geometries covers."""
    return raster(((g, 1) for g in geometries if not g.is_empty), shape, scale=1, dtype="uint8").astype(bool)


def quads(corners: np.ndarray, inks: Sequence[int]) -> list[tuple[dict, int]]:
    """Return rectangles [n, 4, 2] as shapes to burn (plain dictionaries are several times faster than polygons)."""
    closed = np.concatenate([corners, corners[:, :1]], axis=1)
    rings = closed.tolist()
    return [({"type": "Polygon", "coordinates": [ring]}, ink) for ring, ink in zip(rings, inks, strict=True)]


@dataclass(frozen=True)
class InkTable:
    """What every ink looks like: `spectrum` float32 [inks, 6], all else float32 [inks], see materials.Texture.

    `wave_x` and `wave_y` are the wave numbers of the rows, radians per metre; `cover` is a LandCover code, uint8.
    """

    spectrum: np.ndarray
    grain: np.ndarray
    blotch: np.ndarray
    patch: np.ndarray
    vigor: np.ndarray
    wave_x: np.ndarray
    wave_y: np.ndarray
    period: np.ndarray
    rows: np.ndarray
    tram: np.ndarray
    cover: np.ndarray


class Palette:
    """Gives out inks (small integers) and keeps what each one looks like."""

    def __init__(self) -> None:
        self._inks: dict[tuple[str, int, int, int], int] = {}

    def ink(self, look: str, tone: float = 0.0, angle: float = 0.0, light: float = 1.0) -> int:
        """Return the ink of a look at a tone in -1..1, with rows along `angle` (radians), under a relative light."""
        step = round(min(1.0, max(-1.0, float(tone))) * (materials.TONES // 2))
        key = (look, step, round(float(angle) / np.pi * TURNS) % TURNS, round(float(light) * LIGHTS))
        return self._inks.setdefault(key, len(self._inks))

    def table(self) -> InkTable:
        """Return the table of all inks given out so far."""
        half = materials.TONES // 2
        styles = [materials.TEXTURES[look] for look, _, _, _ in self._inks]
        spectrum = [spectra.mixed(look, step / half) * light / LIGHTS for look, step, _, light in self._inks]
        angle = np.array([turn for _, _, turn, _ in self._inks]) * np.pi / TURNS
        columns = np.array([astuple(style)[1:] for style in styles], np.float32).T
        grain, blotch, patch, vigor, period, rows, tram = columns
        return InkTable(
            spectrum=np.array(spectrum, np.float32),
            grain=grain,
            blotch=blotch,
            patch=patch,
            vigor=vigor,
            wave_x=(-np.sin(angle) * 2 * np.pi / period).astype(np.float32),
            wave_y=(np.cos(angle) * 2 * np.pi / period).astype(np.float32),
            period=period,
            rows=rows,
            tram=tram,
            cover=np.array([int(style.cover) for style in styles], np.uint8),
        )


def enlarge(values: np.ndarray) -> np.ndarray:
    """Double a lattice of identities with rounded diagonals (the Scale2x rule)."""
    padded = np.pad(values, 1, mode="edge")
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    out = np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)
    distinct = (up != down) & (left != right)
    for rows, cols, a, b in ((0, 0, left, up), (0, 1, up, right), (1, 0, left, down), (1, 1, down, right)):
        cell = out[rows::2, cols::2]
        np.copyto(cell, b, where=distinct & (a == b))
    return out


class Canvas:
    """An int32 lattice of inks at SUB cells per metre, painted in order."""

    def __init__(self, shape: tuple[int, int]):
        self.shape = shape
        self.palette = Palette()
        self.inks = np.zeros((shape[0] * SUB, shape[1] * SUB), np.int32)

    def ground(self, base: np.ndarray, tone: np.ndarray) -> None:
        """Fill the canvas from natural ground: `base` indexes model.NATURAL, `tone` is in -1..1, both at 1 m."""
        half = materials.TONES // 2
        table = np.array(
            [[self.palette.ink(look, step / half) for step in range(-half, half + 1)] for look in NATURAL],
            np.int32,
        )
        levels = np.clip(np.rint(tone * half), -half, half).astype(np.int8) + half
        self.inks[:] = enlarge(table[base, levels])

    def shapes(self, shapes: Iterable[tuple[shapely.Geometry | dict, int]]) -> None:
        """Paint (geometry, ink) pairs in order."""
        burn(shapes, self.inks, Affine.scale(1 / SUB))

    def patches(self, patches: Iterable[Patch], year: int) -> None:
        """Paint the patches that are present in a year."""
        present = [p for p in patches if p.year <= year < p.until and not p.geometry.is_empty]
        self.shapes((p.geometry, self.palette.ink(p.look, p.tone, p.angle)) for p in present)
