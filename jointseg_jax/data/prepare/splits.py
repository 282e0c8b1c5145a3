"""Splits ground by whole sites, or by whole blocks with a gap between them.

The result is a raster per site on the 10 m lattice (0 none, 1 train, 2 validation, 3 test), which a GIS can show.
Patches of a split lie wholly on its ground, and evaluation counts only its ground; both read this raster.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import repeat_pixels

SPLITS = ("train", "validation", "test")
CODES = {name: code for code, name in enumerate(SPLITS, start=1)}
_PRECEDENCE = ("test", "validation", "train")  # earlier splits keep their ground at a boundary


def split_sites(names: Sequence[str], table: Mapping[str, Sequence[str]], *, complete: bool = True) -> dict[str, str]:
    """Inverts a table of split -> site names to site name -> split.

    Args:
        names: of all sites.
        table: split -> names.
        complete: whether every site must be in the table.

    Raises:
        InputError: a site is in two splits, or in none though all must be, or the table names an unknown split or site.
    """
    found: dict[str, str] = {}
    for split, members in table.items():
        if split not in SPLITS:
            raise InputError(f"dataset.split.table has an unknown split {split!r}: use {', '.join(SPLITS)}")
        for name in members:
            if name in found:
                raise InputError(
                    f"dataset.split.table has site {name!r} in {found[name]!r} and in {split!r}: keep it in one of them"
                )
            if name not in names:
                raise InputError(
                    f"dataset.split.table has site {name!r} in {split!r}, but the dataset has only {sorted(names)}: "
                    "correct the name"
                )
            found[name] = split
    left = sorted(set(names) - set(found))
    if left and complete:
        raise InputError(
            f"sites {left} are in no split: add them to dataset.split.table, or exclude them with dataset.source.only"
        )
    return found


def blocks(
    height: int, width: int, block: int, shares: Mapping[str, float], gap: int, seed: Sequence[int]
) -> np.ndarray:
    """Assigns square blocks to splits at random, with a gap between different splits.

    Args:
        height: of the site in 10 m pixels.
        width: of the site in 10 m pixels.
        block: side of a block in 10 m pixels.
        shares: split -> share of the blocks.
        gap: free 10 m pixels between two splits (at least what a map reads beyond its ground).
        seed: entropy; include the site's name.

    Returns:
        Codes `[height, width]` uint8.
    """
    block = min(block, max(height, width))  # limits the size of the arrays below
    rows, cols = -(-height // block), -(-width // block)
    order = np.random.default_rng(np.random.SeedSequence(list(seed))).permutation(rows * cols)
    counts = _apportion(rows * cols, [shares.get(s, 0.0) for s in SPLITS])
    codes = np.repeat([CODES[s] for s in SPLITS], counts).astype(np.uint8)
    grid = np.empty(rows * cols, np.uint8)
    grid[order] = codes
    full = repeat_pixels(grid.reshape(rows, cols), block)[:height, :width]
    return leave_gaps(full, gap)


def leave_gaps(codes: np.ndarray, gap: int) -> np.ndarray:
    """Sets pixels within `gap` pixels (larger of row and column distance) of a preceding split to no split."""
    result = codes.copy()
    for rank, split in enumerate(_PRECEDENCE[:-1]):
        near = ndimage.maximum_filter(result == CODES[split], size=2 * gap + 1, mode="constant")
        for lower in _PRECEDENCE[rank + 1 :]:
            result[near & (result == CODES[lower])] = 0
    return result


def _apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Integers that sum to `total`, proportional to the shares (largest remainder method)."""
    whole = sum(shares)
    if whole <= 0:
        raise InputError("dataset.split.shares are all zero: give train, validation and test a share each")
    exact = [total * s / whole for s in shares]
    counts = [int(e) for e in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: exact[i] - counts[i], reverse=True)
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
