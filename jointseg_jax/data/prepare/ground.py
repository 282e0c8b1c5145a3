"""Assigns the ground of each site to splits, and ensures that no ground is in two."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare import splits
from jointseg_jax.data.prepare.sources import SiteEntry
from jointseg_jax.errors import InputError
from jointseg_jax.geo.shared_ground import TOUCHING, near, seen_from
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import COARSE_SPACING

Rule = Callable[[int, int], np.ndarray]  # height, width in 10 m pixels -> split codes [height, width]


def split_rules(config: Any, sites: Sequence[SiteEntry]) -> dict[str, Rule]:
    """The rule of every site, from its size to its split codes; sites of one place share a split.

    "site" takes every site's split from the table, "block" divides all sites by the shares, "mixed" divides those that
    the table does not name.

    Args:
        config: `dataset.split`, within its bounds.
        sites: all of the dataset.

    Raises:
        InputError: the table does not match the sites.
    """
    chosen, shares = _split_of_places(config, sites), dict(config.shares)

    def rule(place: str) -> Rule:
        if place in chosen:
            return lambda h, w: np.full((h, w), splits.CODES[chosen[place]], np.uint8)
        seed = (config.seed, zlib.crc32(place.encode()))
        return lambda h, w: splits.blocks(h, w, config.block, shares, config.gap, seed)

    return {s.name: rule(s.place) for s in sites}


def check_apart(config: Any, sites: Sequence[SiteEntry], lattices: Mapping[str, GeoBox]) -> None:
    """Rejects sites that would put the same ground into two splits.

    Args:
        config: `dataset.split`.
        sites: all of the dataset.
        lattices: 10 m lattice by site, for sites that have one; of any UTM zones.

    Raises:
        InputError: splits are by site and two sites of different splits overlap; splits are by block and two
            overlapping sites have different blocks; or a site has no place on the ground.
    """
    by_name = {s.name: s for s in sites}
    split = _split_of_places(config, sites)
    for first, second in near(lattices, TOUCHING):
        a, b = by_name[first], by_name[second]
        of_a, of_b = split.get(a.place, "blocks"), split.get(b.place, "blocks")
        if of_a != of_b:
            raise InputError(f"sites {a.name!r} ({of_a}) and {b.name!r} ({of_b}) overlap: put both into the same split")
        if of_a == "blocks" and (a.place != b.place or lattices[a.name] != lattices[b.name]):
            raise InputError(
                f"sites {a.name!r} and {b.name!r} overlap, but their blocks differ: give them the same place in the "
                "table of sites and crop them to the same extent"
            )


def neighbours(config: Any, lattices: Mapping[str, GeoBox]) -> dict[str, tuple[str, ...]]:
    """For every site, the earlier sites nearer than the gap, which keep their ground; empty if splits are by site.

    Args:
        config: `dataset.split`.
        lattices: 10 m lattice by site; sites that share ground have the same lattice, see `check_apart`.
    """
    if config.by == "site":
        return dict.fromkeys(lattices, ())
    first: dict[GeoBox, str] = {}
    for name, lattice in lattices.items():
        first.setdefault(lattice, name)  # sites on the same ground are treated alike
    apart = near({name: lattice for lattice, name in first.items()}, COARSE_SPACING * config.gap)
    return {
        name: tuple(earlier for earlier, later in apart if later == first[lattice])
        for name, lattice in lattices.items()
    }


def give_way(rule: Rule, lattice: GeoBox, others: Sequence[GeoBox], gap: int) -> Rule:
    """A rule that sets pixels within `gap` 10 m pixels of other sites to no split, because their blocks differ."""

    def kept(height: int, width: int) -> np.ndarray:
        shapes = [(seen_from(lattice, other, COARSE_SPACING * gap), 0) for other in others]
        return burn(shapes, rule(height, width), lattice.affine)

    return kept if others else rule


def _split_of_places(config: Any, sites: Sequence[SiteEntry]) -> dict[str, str]:
    """Split by place, of the places that lie wholly in one."""
    if config.by == "block":
        return {}
    places = list(dict.fromkeys(s.place for s in sites))
    table = {k: tuple(v) for k, v in config.table.items() if v}
    return splits.split_sites(places, table, complete=config.by == "site")
