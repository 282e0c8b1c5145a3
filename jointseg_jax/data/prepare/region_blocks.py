"""Spatial blocks over all sites of a region: which ground lies in one block, and what the gap leaves of it.

Sites nearer to each other than the gap form a group. A group that fits into a block stays whole and falls into the
block of a fixed grid that holds its centre, so neighbouring small sites share a split. A larger group is cut along
blocks counted from its upper left corner. Other groups are at least the gap away, so a gap is needed only within a
group and beside sites whose split is given.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jointseg_jax.data.prepare.splits import PRECEDENCE
from jointseg_jax.errors import InputError
from jointseg_jax.geo.reproject import CHORD, reproject
from jointseg_jax.geo.shared_ground import near, outline
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.lattice import crs_text

_MOST_BLOCKS = 100_000  # more take minutes to divide
Key = tuple[str, int, int]


@dataclasses.dataclass(frozen=True)
class Group:
    """Sites nearer to each other than the gap.

    Attributes:
        crs: of its geometries, that of its first site.
        outlines: by site, metres in `crs`.
        cells: by block, its ground.
        given: split -> ground of sites nearer than the gap whose split is given.
    """

    crs: str
    outlines: Mapping[str, shapely.Geometry]
    cells: Mapping[Key, shapely.Geometry]
    given: Mapping[str, shapely.Geometry]

    def ground(self, split_of: Mapping[Key, str], gap: float) -> dict[str, shapely.Geometry]:
        """The ground of each split with the gap taken out of the later ones of `PRECEDENCE`.

        Args:
            split_of: split by block.
            gap: metres, the larger of row and column distance.
        """
        whole = {
            split: shapely.union_all([cell for key, cell in self.cells.items() if split_of[key] == split])
            for split in PRECEDENCE
        }
        kept: dict[str, shapely.Geometry] = {}
        for rank, split in enumerate(PRECEDENCE):
            others = [whole[s] for s in PRECEDENCE[:rank]] + [g for s, g in self.given.items() if s != split]
            kept[split] = shapely.difference(whole[split], grown(shapely.union_all(others), gap))
        return kept

    def of_site(self, name: str, crs: str, ground: shapely.Geometry) -> shapely.Geometry:
        """The part of some ground that lies on a site, in the site's CRS."""
        part = shapely.intersection(ground, self.outlines[name])
        return part if crs == self.crs else reproject(part, self.crs, crs, CHORD)


def grown(ground: shapely.Geometry, margin: float) -> shapely.Geometry:
    """Ground with a square margin in metres; a negative one shrinks it."""
    return shapely.buffer(ground, margin, join_style="mitre")


def groups(lattices: Mapping[str, GeoBox], given: Mapping[str, str], block: int, gap: int) -> list[Group]:
    """Groups the sites without a given split, and lays blocks over them.

    Args:
        lattices: 10 m lattice by site, of any UTM zones.
        given: split by site, of the sites that lie in one.
        block: side of a block in 10 m pixels.
        gap: between splits in 10 m pixels.

    Raises:
        InputError: the blocks are too many.
    """
    free = [name for name in lattices if name not in given]
    number = {name: i for i, name in enumerate(free)}
    pairs = near(lattices, COARSE_SPACING * gap)
    both = np.array([(number[a], number[b]) for a, b in pairs if a in number and b in number], int).reshape(-1, 2).T
    joined = coo_array((np.ones(both.shape[1]), (both[0], both[1])), shape=(len(free), len(free)))
    group_of = connected_components(joined, directed=False)[1] if free else np.zeros(0, int)
    members: dict[int, list[str]] = {}
    for name, group in zip(free, group_of, strict=True):
        members.setdefault(int(group), []).append(name)
    beside: dict[int, set[str]] = {}
    for pair in pairs:
        for name, other in (pair, pair[::-1]):
            if name in number and other in given:
                beside.setdefault(int(group_of[number[name]]), set()).add(other)
    made = []
    for group, names in members.items():
        crs = crs_text(lattices[names[0]])
        outlines = {name: outline(lattices[name], crs) for name in names}
        near_it: dict[str, list[shapely.Geometry]] = {}
        for other in sorted(beside.get(group, ())):
            near_it.setdefault(given[other], []).append(outline(lattices[other], crs))
        fixed = {split: shapely.union_all(ground) for split, ground in near_it.items()}
        cells = _cells(crs, group, list(outlines.values()), COARSE_SPACING * block)
        made.append(Group(crs, outlines, cells, fixed))
    return made


def _cells(crs: str, group: int, outlines: Sequence[shapely.Geometry], side: float) -> dict[Key, shapely.Geometry]:
    """The ground of a group by block: one block if the group fits into it."""
    ground = shapely.union_all(outlines)
    left, bottom, right, top = ground.bounds
    if max(right - left, top - bottom) <= side:
        return {(crs, math.floor((left + right) / 2 / side), math.floor((bottom + top) / 2 / side)): ground}
    rows, cols = math.ceil((top - bottom) / side - 1e-6), math.ceil((right - left) / side - 1e-6)
    if rows * cols > _MOST_BLOCKS:
        raise InputError(
            f"dataset.split.block={side / COARSE_SPACING:g} divides neighbouring sites into {rows * cols} blocks, but "
            f"at most {_MOST_BLOCKS} are divided: raise it"
        )
    row, col = (n.ravel() for n in np.mgrid[:rows, :cols])
    x, y = left + col * side, top - row * side
    parts = shapely.intersection(shapely.box(x, y - side, x + side, y), ground)
    return {
        (f"group {group}", int(i), int(j)): part for i, j, part in zip(row, col, parts, strict=True) if part.area > 0
    }
