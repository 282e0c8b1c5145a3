"""The names of the splits, whole sites by name, and the division of blocks among splits by area."""

from collections.abc import Mapping, Sequence

import numpy as np

from jointseg_jax.errors import InputError

SPLITS = ("train", "validation", "test")
CODES = {name: code for code, name in enumerate(SPLITS, start=1)}
PRECEDENCE = ("test", "validation", "train")  # earlier splits keep their ground at a boundary
_ORDERS, _STEPS = 64, 20_000  # most random orders of the blocks, of which the best is kept, and steps over all of them


def split_sites(names: Sequence[str], table: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Inverts a table of split -> site names to site name -> split.

    Args:
        names: of all sites.
        table: split -> names.

    Raises:
        InputError: a site is in two splits, or the table names an unknown split or site.
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
    return found


def divide(areas: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Assigns blocks to parts at random, so that the areas of the parts are near their shares.

    Blocks are taken in random order, each for the part that lacks most of its share; every part gets a block if there
    are as many. Of several orders the one with the smallest error is kept.

    Args:
        areas: of the blocks, [blocks].
        shares: of the parts, at least one above 0; a part with 0 gets no block.
        rng: of the orders.

    Returns:
        The part of each block, int [blocks].
    """
    wanted = np.asarray(shares, float) / np.sum(shares) * areas.sum()
    best, least = np.zeros(len(areas), int), np.inf
    for _ in range(max(1, min(_ORDERS, _STEPS // max(1, len(areas))))):
        parts, lacking = np.zeros(len(areas), int), np.where(wanted > 0, wanted, -np.inf)
        for done, block in enumerate(rng.permutation(len(areas))):
            bare = (lacking == wanted) & (wanted > 0)
            last = len(areas) - done <= bare.sum()  # the rest is for parts without a block
            parts[block] = np.argmax(np.where(bare | ~last, lacking, -np.inf))
            lacking[parts[block]] -= areas[block]
        error = np.abs(lacking[wanted > 0]).max()
        if error < least:
            best, least = parts, error
    return best
