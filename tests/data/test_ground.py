"""No ground belongs to two splits."""

import pytest
from ml_collections import ConfigDict

from configs import common
from jointseg_jax.data.ground import check_apart, split_rules
from jointseg_jax.data.sources import SiteEntry
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


def test_a_gap_holds_a_patch_and_a_halo():
    assert split_rules(by_block(48), 32, [entry("a")])["a"](64, 64).shape == (64, 64)
    with pytest.raises(InputError, match=r"gap is 47, but a patch \(32\).*make it 48 or more"):
        split_rules(by_block(47), 32, [entry("a")])


def test_an_unknown_rule_is_named():
    config = by_site(train=("a",))
    config.by = "luck"
    with pytest.raises(InputError, match="'luck'"):
        split_rules(config, 32, [entry("a")])


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
    with pytest.raises(InputError, match=r"'a' \(train\) and 'b' \(test\) share ground"):
        check_apart(config, sites, lattices)


def test_blocks_of_one_ground_are_the_same():
    """Blocks are drawn per place and counted from a site's corner."""
    config = by_block(64)
    check_apart(config, [entry("a-2019", "a"), entry("a-2021", "a")], {"a-2019": box(0), "a-2021": box(0)})
    with pytest.raises(InputError, match="crop them to the same extent"):
        check_apart(config, [entry("a-2019", "a"), entry("a-2021", "a")], {"a-2019": box(0), "a-2021": box(20)})
    with pytest.raises(InputError, match="give them one place"):
        check_apart(config, [entry("a"), entry("b")], {"a": box(0), "b": box(0)})


def test_preparation_refuses_shared_ground(own):
    import shutil

    from jointseg_jax.data.prepare import prepare

    root, config = own
    for name in ("s2", "s2_20m", "s1", "dem", "scl", "image", "label"):
        shutil.copy(root / "a" / f"{name}.tif", root / "d" / f"{name}.tif")
    with pytest.raises(InputError, match=r"'a' \(train\) and 'd' \(test\) share ground"):
        prepare(config, say=lambda _: None)
