"""No ground belongs to two splits."""

import numpy as np
import pyproj
import pytest
from ml_collections import ConfigDict

from configs import common
from jointseg_jax.data.prepare.ground import check_apart, give_way, neighbours, split_rules
from jointseg_jax.data.prepare.sources import SiteEntry
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import make_lattice

pytestmark = pytest.mark.quick


def entry(name, place=None):
    return SiteEntry(name, place or name, "r", "2021", None)


def box(left, top=3_400_020, size=30, crs="EPSG:32650"):
    return make_lattice(crs, 500_000 + left, top, 10, size, size)


def by_site(**table):
    config = common.dataset("x").split
    config.table = ConfigDict(table)
    return config


def by_block(gap):
    config = common.dataset("x").split
    config.by, config.gap = "block", gap
    return config


def test_blocks_are_laid_over_a_site():
    assert split_rules(by_block(48), [entry("a")])["a"](64, 64).shape == (64, 64)


def test_a_scene_is_left_out_whole_while_blocks_divide_the_others():
    config = by_site(test=("a",))
    config.by, config.gap, config.block = "mixed", 4, 8
    config.shares = {"train": 0.5, "validation": 0.5, "test": 0.0}
    rules = split_rules(config, [entry("a"), entry("b")])
    assert (rules["a"](64, 64) == 3).all()
    assert set(np.unique(rules["b"](64, 64))) == {0, 1, 2}
    config.by = "block"
    assert set(np.unique(split_rules(config, [entry("a")])["a"](64, 64))) == {0, 1, 2}


def test_mixed_ground_is_not_shared_with_the_scene_left_out():
    config = by_site(test=("a",))
    config.by = "mixed"
    with pytest.raises(InputError, match=r"'a' \(test\) and 'b' \(blocks\) overlap"):
        check_apart(config, [entry("a"), entry("b")], {"a": box(0), "b": box(100)})


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (box(100), True),
        (box(0), True),
        (box(100, 3_399_950, 5), True),  # inside
        (box(300), False),  # side by side
        (box(290), True),
        (box(100, crs="EPSG:32651"), False),
    ],
)
def test_sites_of_different_splits_do_not_overlap(other, shared):
    sites = [entry("a"), entry("b"), entry("c")]
    lattices = {"a": box(0), "b": other, "c": box(10_000)}
    check_apart(by_site(train=("a", "b"), test=("c",)), sites, lattices)
    config = by_site(train=("a", "c"), test=("b",))
    if not shared:
        check_apart(config, sites, lattices)
        return
    with pytest.raises(InputError, match=r"'a' \(train\) and 'b' \(test\) overlap"):
        check_apart(config, sites, lattices)


def beside(lattice, crs, east=0.0, size=1_000):
    """A site in another CRS whose upper left corner lies so many metres east of a lattice's upper right one."""
    _, _, right, top = lattice.boundingbox.bbox
    x, y = pyproj.Transformer.from_crs(str(lattice.crs), crs, always_xy=True).transform(right + east, top)
    return make_lattice(crs, round(x, -1), round(y, -1), 10, size, size)


@pytest.mark.parametrize(
    ("zone", "other", "left", "top"),
    [
        ("EPSG:32650", "EPSG:32651", 780_000, 3_400_020),  # 120 degrees east
        ("EPSG:32660", "EPSG:32601", 810_000, 1_880_040),  # 180 degrees
        ("EPSG:32601", "EPSG:32660", 180_000, 1_880_040),
        ("EPSG:32650", "EPSG:32750", 500_040, 6_000),  # the equator
    ],
)
def test_shared_ground_is_seen_across_zones(zone, other, left, top):
    """10 x 10 km each; sides that lean against each other are no common ground."""
    lattice = make_lattice(zone, left, top, 10, 1_000, 1_000)
    sites = [entry("a"), entry("b")]
    config = by_site(train=("a",), test=("b",))
    with pytest.raises(InputError, match=r"'a' \(train\) and 'b' \(test\) overlap"):
        check_apart(config, sites, {"a": lattice, "b": beside(lattice, other, -3_000)})
    with pytest.raises(InputError, match="'a' and 'b' overlap, but their blocks differ"):
        check_apart(by_block(64), sites, {"a": lattice, "b": beside(lattice, other, -3_000)})
    check_apart(config, sites, {"a": lattice, "b": beside(lattice, other, 1_000)})


def test_a_site_beyond_its_projection_is_named():
    with pytest.raises(InputError, match="site 'b' lies outside the area where EPSG:32650 is defined: check"):
        check_apart(by_site(train=("a", "b")), [entry("a"), entry("b")], {"a": box(0), "b": box(1e12)})


def test_the_gap_is_kept_between_sites():
    """By block, whoever is listed later leaves ground free: it does not know its neighbour's blocks."""
    config = by_block(48)
    config.block, config.shares = 30, ConfigDict({"train": 1.0})
    lattices = {"a": box(0), "b": box(300, size=60), "a-later": box(0), "far": box(5_000)}
    assert neighbours(config, lattices) == {"a": (), "b": ("a",), "a-later": (), "far": ()}
    assert not any(neighbours(by_site(train=("a", "b", "far")), lattices).values())
    rule = split_rules(config, [entry("b")])["b"]
    codes = give_way(rule, lattices["b"], [lattices["a"]], config.gap)(60, 60)
    assert not codes[:, :48].any()
    assert (codes[:, 48:] == 1).all()
    assert (rule(60, 60) == 1).all()


def test_the_gap_is_kept_across_zones():
    config = by_block(48)
    first = make_lattice("EPSG:32650", 780_000, 3_400_020, 10, 300, 300)
    second = beside(first, "EPSG:32651", 100, 300)
    assert neighbours(config, {"a": first, "b": second})["b"] == ("a",)
    codes = give_way(lambda h, w: np.ones((h, w), np.uint8), second, [first], config.gap)(300, 300)
    rows, cols = np.nonzero(codes)
    x, y = second.affine * (cols + 0.5, rows + 0.5)
    x, _ = pyproj.Transformer.from_crs(32651, 32650, always_xy=True).transform(x, y)
    assert 479 < x.min() - first.boundingbox.right < 490


def test_blocks_of_one_ground_are_the_same():
    """Blocks are drawn per place and counted from a site's corner."""
    config = by_block(64)
    check_apart(config, [entry("a-2019", "a"), entry("a-2021", "a")], {"a-2019": box(0), "a-2021": box(0)})
    with pytest.raises(InputError, match="crop them to the same extent"):
        check_apart(config, [entry("a-2019", "a"), entry("a-2021", "a")], {"a-2019": box(0), "a-2021": box(20)})
    with pytest.raises(InputError, match="give them the same place"):
        check_apart(config, [entry("a"), entry("b")], {"a": box(0), "b": box(0)})


def test_preparation_keeps_the_gap_between_sites(own):
    """Sites `a` and `b` lie 18 pixels apart; a site that gets a neighbour is prepared anew."""
    import rasterio
    import toy

    from jointseg_jax.data.prepare.preparation import prepare

    _, config = own
    config.inputs = ("s2",)
    config.patch = 4
    config.split.by = "block"
    config.split.block, config.split.gap, config.split.halo = 12, 24, 1
    config.split.shares = {"train": 1.0, "validation": 0.0, "test": 0.0}
    config.source.only = ("b",)
    prepare(config, say=toy.quiet)
    config.source.only = ("a", "b")
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "no split within 24 pixels of a" in lines[1]
    with rasterio.open(data.root / data.sites["b"].split) as raster:
        codes = raster.read(1)
    assert not codes[:, :6].any()
    assert (codes[:, 6:] == 1).all()


def test_preparation_refuses_shared_ground(own):
    import shutil

    from jointseg_jax.data.prepare.preparation import prepare

    root, config = own
    for name in ("s2", "s2_20m", "s1", "dem", "scl", "image", "label"):
        shutil.copy(root / "a" / f"{name}.tif", root / "d" / f"{name}.tif")
    with pytest.raises(InputError, match=r"'a' \(train\) and 'd' \(test\) overlap"):
        prepare(config, say=lambda _: None)
