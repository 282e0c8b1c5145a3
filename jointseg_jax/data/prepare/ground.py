"""Assigns the ground of each site to splits, and ensures that no ground is in two."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare import splits
from jointseg_jax.data.prepare.region_blocks import Group, Key, groups, grown
from jointseg_jax.data.prepare.site_list import TABLE
from jointseg_jax.data.prepare.sources import SiteEntry
from jointseg_jax.errors import InputError
from jointseg_jax.geo.shared_ground import TOUCHING, near, outline
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.lattice import crs_text

Ground = tuple[tuple[shapely.Geometry, int], ...]  # parts of a site in its CRS, and the code of their split
_ROUNDS = 6  # of correction for what the gap takes; the best one counts


def given_splits(config: Any, sites: Sequence[SiteEntry]) -> dict[str, str]:
    """Split by site, of the sites that lie wholly in a given one.

    The column `split` of the table of sites counts always, `dataset.split.table` unless splits are by block. By site
    every site needs one.

    Args:
        config: `dataset.split`, within its bounds.
        sites: all of the dataset.

    Raises:
        InputError: the table does not match the sites, two statements differ, or a site has no split but needs one.
    """
    of_place: dict[str, str] = {}
    for site in sites:
        if site.split and of_place.setdefault(site.place, site.split) != site.split:
            raise InputError(
                f"{TABLE} gives sites of the place {site.place!r} the splits {of_place[site.place]!r} and "
                f"{site.split!r}: give them the same"
            )
    if config.by != "block":
        table = {k: tuple(v) for k, v in config.table.items() if v}
        for place, split in splits.split_sites(list(dict.fromkeys(s.place for s in sites)), table).items():
            if of_place.setdefault(place, split) != split:
                raise InputError(
                    f"{TABLE} puts site {place!r} into {of_place[place]!r}, but dataset.split.table into {split!r}: "
                    "keep one of the two"
                )
    left = sorted({s.place for s in sites} - set(of_place))
    if left and config.by == "site":
        raise InputError(
            f"sites {left} are in no split: add them to dataset.split.table or to a column split of {TABLE}, or "
            "exclude them with dataset.source.only"
        )
    return {s.name: of_place[s.place] for s in sites if s.place in of_place}


def check_apart(given: Mapping[str, str], lattices: Mapping[str, GeoBox]) -> None:
    """Rejects sites that would put the same ground into two splits.

    Args:
        given: split by site, see `given_splits`; blocks divide the others.
        lattices: 10 m lattice by site, for sites that have one; of any UTM zones.

    Raises:
        InputError: two sites overlap and lie in different splits, or one of them is divided by blocks; or a site has
            no place on the ground.
    """
    for a, b in near(lattices, TOUCHING):
        of_a, of_b = given.get(a, "blocks"), given.get(b, "blocks")
        if of_a != of_b:
            raise InputError(f"sites {a!r} ({of_a}) and {b!r} ({of_b}) overlap: put both into the same split")


def divide(
    config: Any,
    given: Mapping[str, str],
    lattices: Mapping[str, GeoBox],
    patch: int,
    say: Callable[[str], None] = print,
) -> dict[str, Ground]:
    """The ground of every site by split: whole for sites with a given split, by spatial blocks for the others.

    Args:
        config: `dataset.split`, within its bounds.
        given: split by site, see `given_splits`.
        lattices: 10 m lattice by site.
        patch: side of a patch in 10 m pixels.
        say: receives a line on the shares.

    Raises:
        InputError: a split with a share has no ground with room for a patch, or the shares are not met within
            `dataset.split.tolerance`.
    """
    made: dict[str, Ground] = {
        name: ((outline(lattice, crs_text(lattice)), splits.CODES[given[name]]),)
        for name, lattice in lattices.items()
        if name in given
    }
    if len(made) == len(lattices):
        return made
    found = groups(lattices, given, config.block, config.gap)
    keys = list(dict.fromkeys(key for group in found for key in group.cells))
    gap, shares = COARSE_SPACING * config.gap, _shares(config)
    drawn, areas = _draw(config, shares, found, keys, gap)
    _check_shares(config, shares, found, drawn, areas, patch, len(keys))
    total = sum(areas.values())
    say(f"blocks: {_percent(areas)} of {total / 1e6:.1f} km2, in {len(keys)} blocks")
    for group, ground in zip(found, drawn, strict=True):
        for name in group.outlines:
            crs = crs_text(lattices[name])
            made[name] = tuple((group.of_site(name, crs, part), splits.CODES[s]) for s, part in ground.items())
    return made


def codes(ground: Ground, lattice: GeoBox) -> np.ndarray:
    """Split codes `[height, width]` uint8 of a site: 0 none, 1 train, 2 validation, 3 test."""
    return burn(ground, np.zeros(lattice.shape, np.uint8), lattice.affine)


def digest(ground: Ground) -> str:
    """A digest that changes with the ground."""
    return hashlib.sha256(b"".join(shapely.to_wkb(part) + bytes([code]) for part, code in ground)).hexdigest()


def _tolerance(config: Any) -> float:
    return float(config.get("tolerance", 0.05))


def _shares(config: Any) -> dict[str, float]:
    """The share of each split in the divided ground; the sum is 1."""
    given = {split: float(config.shares.get(split, 0.0)) for split in splits.SPLITS}
    folds = config.get("folds", 0)
    if folds:
        rest = given["train"] + given["validation"]
        given = {split: given[split] * (1 - 1 / folds) / max(rest, 1e-9) for split in ("train", "validation")}
        given["test"] = 1 / folds
    whole = sum(given.values())
    if whole <= 0 or (folds and whole < 1 - 1e-6):
        raise InputError("dataset.split.shares are all zero: give train, validation and test a share each")
    return {split: share / whole for split, share in given.items()}


def _draw(
    config: Any, shares: Mapping[str, float], found: Sequence[Group], keys: Sequence[Key], gap: float
) -> tuple[list[dict[str, shapely.Geometry]], dict[str, float]]:
    """The ground by split of each group, and the area by split in m2.

    The gap takes more from some splits than from others, so blocks are drawn again for corrected shares.
    """
    area_of: dict[Key, float] = dict.fromkeys(keys, 0.0)
    for group in found:
        for key, cell in group.cells.items():
            area_of[key] += cell.area
    areas = np.array([area_of[key] for key in keys])
    rng = np.random.default_rng(np.random.SeedSequence([config.seed]))
    open_to, fixed = np.ones(len(keys), bool), dict[Key, str]()
    if folds := config.get("folds", 0):  # the same for every fold
        fold_of = splits.divide(areas, [1.0] * folds, rng)
        open_to = fold_of != config.get("fold", 0)
        fixed = {key: "test" for key, free in zip(keys, open_to, strict=True) if not free}
    choice = [s for s in splits.SPLITS if shares[s] > 0 and not (folds and s == "test")]
    wanted = np.array([shares[s] for s in choice])
    best, least = None, np.inf
    for _ in range(_ROUNDS):
        parts = splits.divide(areas[open_to], wanted.tolist(), rng)
        free = [key for key, chosen in zip(keys, open_to, strict=True) if chosen]
        split_of = {**fixed, **{key: choice[part] for key, part in zip(free, parts, strict=True)}}
        drawn = [group.ground(split_of, gap) for group in found]
        got = {split: sum(ground[split].area for ground in drawn) for split in splits.SPLITS}
        error = _error(got, shares)
        if error < least:
            best, least = (drawn, got), error
        if error <= _tolerance(config) / 4:
            break
        reached = np.array([got[s] for s in choice]) / max(sum(got.values()), 1.0)
        wanted *= np.clip(np.array([shares[s] for s in choice]) / np.maximum(reached, 1e-3), 0.5, 2.0)
    assert best is not None
    return best


def _error(areas: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """The largest deviation of a share; above 1 if a wanted split is empty."""
    total = max(sum(areas.values()), 1.0)
    empty = sum(shares[split] > 0 and areas[split] <= 0 for split in splits.SPLITS)
    return empty + max(abs(areas[split] / total - shares[split]) for split in splits.SPLITS)


def _check_shares(
    config: Any,
    shares: Mapping[str, float],
    found: Sequence[Group],
    drawn: Sequence[Mapping[str, shapely.Geometry]],
    areas: Mapping[str, float],
    patch: int,
    blocks: int,
) -> None:
    empty = [s for s in splits.SPLITS if shares[s] > 0 and not _has_room(s, found, drawn, COARSE_SPACING * patch)]
    would = f"{blocks} blocks of {config.block} pixels with a gap of {config.gap} would give {_percent(areas)}"
    if empty:
        raise InputError(
            f"no ground of split {' or '.join(empty)} would have room for a patch of {patch} pixels: {would}; lower "
            "dataset.split.block, dataset.split.gap or dataset.patch, add sites, or set the share of that split to 0"
        )
    tolerance = _tolerance(config)
    error = _error(areas, shares)
    if error > tolerance:
        raise InputError(
            f"dataset.split.shares ask for {_percent(shares)}, but {would}: lower dataset.split.block or "
            f"dataset.split.gap, or raise dataset.split.tolerance ({tolerance:g}) to {error + 0.005:.2f}"
        )


def _has_room(split: str, found: Sequence[Group], drawn: Sequence[Mapping[str, shapely.Geometry]], side: float) -> bool:
    """Whether a square of some side, metres, fits on a site's ground of a split."""
    for group, ground in zip(found, drawn, strict=True):
        for site in group.outlines.values():
            if not grown(shapely.intersection(ground[split], site), 0.5 - side / 2).is_empty:
                return True
    return False


def _percent(amounts: Mapping[str, float]) -> str:
    """For example "train 70.1 %, validation 9.8 %, test 20.1 %"."""
    total = max(sum(amounts.values()), 1e-9)
    return ", ".join(f"{split} {amounts[split] / total:.1%}".replace("%", " %") for split in splits.SPLITS)
