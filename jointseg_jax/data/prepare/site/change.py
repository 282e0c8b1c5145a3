"""Finds the blocks of a site whose image and input show different ground: the land changed between their dates.

A block is judged by its pattern, at 10 m and within a pixel of misregistration: by the correlation of its edges (as
`structure` ranks them) plus the largest one of its bands' values, without their sign, because fields turn with the
season. How far a block lies from the line of the image's units tells nothing: seasons move it as far as change does.
See `benchmarks/change.py`.
"""

import itertools
import pathlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare.recipe import Recipe
from jointseg_jax.data.prepare.site.image_units import read_pairs
from jointseg_jax.data.prepare.site.structure import NEAR, edges, inner
from jointseg_jax.rasters.contract import COARSE_SPACING

_FILLED = 0.5  # share of a block that must be valid in both for it to be judged
_FLAT = 0.1  # of the median spread over blocks: below it in both, a block has no pattern (water)


def agreement(a: np.ndarray, b: np.ndarray, ok: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """How alike the patterns of two pictures are, by block.

    Args:
        a, b: `[h, w, bands]`, in any units.
        ok: where both are valid, bool `[h, w]`.
        side: of the blocks, pixels; about, so that whole blocks cover the picture.

    Returns:
        Agreement, up to 2 for equal pictures, float `[rows, columns]`, NaN where a block has no pattern or too few
        valid pixels; and the number of the block of each pixel, `[h, w]`, row by row.
    """
    cuts = [np.linspace(0, n, max(1, round(n / side)) + 1).round().astype(int)[:-1] for n in ok.shape]
    number = np.searchsorted(cuts[0], np.arange(ok.shape[0]), "right")[:, None] - 1
    number = number * len(cuts[1]) + np.searchsorted(cuts[1], np.arange(ok.shape[1]), "right") - 1

    def total(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(values, cuts[0], axis=0), cuts[1], axis=1)

    def correlation(x: np.ndarray, y: np.ndarray, mask: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
        both = mask & _moved(mask, shift)
        count = np.maximum(total(both.astype(float)), 1)
        x, y = (np.where(both, v, 0.0) for v in (x, _moved(y, shift)))
        means = total(x) / count, total(y) / count
        spread = [np.maximum(total(v * v) / count - m * m, 0) for v, m in zip((x, y), means, strict=True)]
        shared = total(x * y) / count - means[0] * means[1]
        return np.asarray(shared / np.sqrt(np.maximum(spread[0] * spread[1], 1e-24)))

    inside = inner(ok)
    one, two = (edges(v.mean(-1), ok, inside) for v in (a, b))
    near = range(-NEAR, NEAR + 1)
    shifts = list(itertools.product(near, near))
    # Centred, because sums of squares of large numbers lose their differences.
    a, b = (np.where(ok[..., None], v - v[ok].mean(0), 0.0) if ok.any() else v for v in (a, b))
    alike = np.max([correlation(one, two, inside, s) for s in shifts], axis=0)
    bands = [np.abs(correlation(a[..., k], b[..., k], ok, s)) for k in range(a.shape[-1]) for s in shifts]
    found = alike + np.max(bands, axis=0)
    count = np.maximum(total(ok.astype(float)), 1)
    flat = np.ones(found.shape, bool)
    for v in (a.mean(-1), b.mean(-1)):
        spread = np.sqrt(np.maximum(total(v * v) / count - (total(v) / count) ** 2, 0))
        flat &= spread <= _FLAT * np.median(spread)
    judged = ~flat & (total(ok.astype(float)) >= _FILLED * total(np.ones(ok.shape)))
    return np.where(judged, found, np.nan), number


def changed(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path
) -> tuple[np.ndarray, str]:
    """Where a prepared image shows other ground than the first date of the input.

    Args:
        recipe: says how large the blocks are, and how alike they must be.
        lattice: 10 m.
        image: prepared image.
        nodata: its number for invalid pixels.
        layer: prepared raster of the first date of the first modality.

    Returns:
        Bool on the 10 m lattice, and a note.
    """
    found = zip(*read_pairs(recipe, lattice, image, nodata, layer), strict=True)
    shown, seen, ok = (np.concatenate(parts) for parts in found)
    rule = recipe.change
    alike, number = agreement(shown, seen, ok, round(rule.block / COARSE_SPACING))
    apart = alike < rule.least  # False for NaN
    judged = int(np.isfinite(alike).sum())
    note = f"label: {int(apart.sum())} of {judged} blocks of {rule.block:g} m ignored, where image and input differ"
    return apart.ravel()[number], note


def _moved(values: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Moves pixels down and right; what enters at the edge is 0."""
    moved = np.zeros_like(values)
    height, width = values.shape
    (down, right) = shift
    to = np.s_[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    moved[to] = values[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    return moved
