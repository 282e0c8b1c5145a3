"""Spatial blocks over all sites of a region: shares, gap, folds, and sites that are small, near or in two zones."""

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict
from scipy.spatial import cKDTree
from split_gap import gap_between

from jointseg_jax.configs import common, yreb
from jointseg_jax.data.prepare import ground
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import make_lattice

pytestmark = pytest.mark.quick
ZONE = "EPSG:32650"


def box(left, top=0, height=30, width=None, crs=ZONE):
    """A site that begins so many metres right of and below a corner."""
    return make_lattice(crs, 500_000 + left, 3_400_020 - top, 10, height, width or height)


def split(shares=None, **changes):
    config = common.dataset("x").split
    config.by, config.halo = "block", 0
    if shares:
        config.shares = ConfigDict(shares)
    config.update(changes)
    return config


def codes(config, lattices, given=None, patch=1):
    parts = ground.divide(config, given or {}, lattices, patch, lambda _: None)
    return {name: ground.codes(parts[name], lattice) for name, lattice in lattices.items()}


def shares(codes):
    counts = sum(np.bincount(c.ravel(), minlength=4) for c in codes.values())[1:]
    return counts / counts.sum()


def twenty(seed, apart=40_000):
    """Sites of 1 to 5 km, some of them in pairs."""
    rng = np.random.default_rng(seed)
    return {
        f"s{i}": box(int(i % 5) * apart + int(rng.integers(300)) * 10, i // 5 * apart, *rng.integers(100, 500, 2))
        for i in range(20)
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_defaults_of_yreb_divide_twenty_small_sites(seed):
    config = yreb.get_config().dataset
    found = codes(config.split, twenty(seed), patch=config.patch)
    np.testing.assert_allclose(shares(found), (0.7, 0.1, 0.2), atol=config.split.tolerance)
    assert all(len(np.unique(c)) == 1 for c in found.values())  # smaller than a block: whole


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(60, 150),
    width=st.integers(60, 150),
    block=st.integers(8, 50),
    gap=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_the_gap_holds_within_a_site(height, width, block, gap, seed):
    config = split(block=block, gap=gap, seed=seed, tolerance=1.0, shares={"train": 0.6, "test": 0.4})
    lattices = {"a": box(0, 0, height, width)}
    try:
        found = codes(config, lattices)["a"]
    except InputError as error:
        assert "no ground of split" in str(error)  # noqa: PT017  blocks of the gap's size
        return
    assert set(np.unique(found)) - {0} == {1, 3}
    assert gap_between(found) >= gap
    np.testing.assert_array_equal(found, codes(config, lattices)["a"])
    assert not gap or not np.array_equal(found > 0, np.ones_like(found))


def test_the_gap_holds_between_sites_and_they_do_not_erase_one_another():
    """Two sites of 3 km, 500 m apart: within one block they share a split, else both keep most of their ground."""
    lattices = {"a": box(0, 0, 300), "b": box(3_500, 0, 300), "far": box(50_000, 0, 300)}
    whole = codes(split(block=700, gap=96, tolerance=1.0, shares={"train": 0.7, "test": 0.3}), lattices)
    assert np.array_equal(np.unique(whole["a"]), np.unique(whole["b"]))
    config = split(block=128, gap=64, shares={"train": 0.5, "test": 0.5}, tolerance=0.1)
    cut = codes(config, lattices)
    both = np.concatenate([cut["a"], np.zeros((300, 50), np.uint8), cut["b"]], 1)
    assert gap_between(both) >= 64
    assert all((c > 0).mean() > 0.4 for c in cut.values())


def test_sites_on_the_same_ground_get_the_same_splits():
    """Other dates and extents need no common place: blocks lie over the group."""
    lattices = {"early": box(0, 0, 200), "late": box(0, 0, 200), "part": box(600, 300, 120)}
    found = codes(split(block=40, gap=5), lattices)
    np.testing.assert_array_equal(found["early"], found["late"])
    np.testing.assert_array_equal(found["part"], found["early"][30:150, 60:180])


def test_the_gap_is_kept_across_zones():
    first = make_lattice("EPSG:32650", 780_000, 3_400_020, 10, 300, 300)
    to = pyproj.Transformer.from_crs(32650, 32651, always_xy=True)
    x, y = to.transform(first.boundingbox.right + 100, first.boundingbox.top)
    second = make_lattice("EPSG:32651", round(x, -1), round(y, -1), 10, 300, 300)
    lattices = {"a": first, "b": second}
    config = split(block=100, gap=48, shares={"train": 0.5, "test": 0.5}, tolerance=0.3)
    found = codes(config, lattices)
    points = {}
    for name, lattice in lattices.items():
        for code in (1, 3):
            rows, cols = np.nonzero(found[name] == code)
            x, y = lattice.affine * (cols + 0.5, rows + 0.5)
            to_first = pyproj.Transformer.from_crs(str(lattice.crs), "EPSG:32650", always_xy=True)
            points[name, code] = np.column_stack(to_first.transform(x, y))
    for ours, theirs in ((("a", 1), ("b", 3)), (("a", 3), ("b", 1))):
        apart, _ = cKDTree(points[ours]).query(points[theirs], p=np.inf)
        assert apart.min() > 470


def test_ground_beside_a_given_site_gives_way():
    """The site of the table keeps its ground whatever its split."""
    lattices = {"test": box(0, 0, 60), "a": box(700, 0, 60), "same": box(0, 700, 60)}
    config = split(block=30, gap=20, shares={"train": 1.0, "test": 0.0, "validation": 0.0})
    found = codes(config, lattices, {"test": "train", "same": "train"})
    assert all((c == 1).all() for c in found.values())
    found = codes(config, lattices, {"test": "test", "same": "test"})
    assert (found["test"] == 3).all()
    assert not found["a"][:, :10].any()
    assert (found["a"][:, 10:] == 1).all()


def test_folds_take_every_block_to_the_test_once():
    config = split(block=20, gap=0, folds=4)
    lattices = {"a": box(0, 0, 160), "b": box(9_000, 0, 100)}
    tests = []
    for fold in range(4):
        config.fold = fold
        found = codes(config, lattices)
        np.testing.assert_allclose(shares(found), (0.65625, 0.09375, 0.25), atol=0.05)
        tests.append(np.concatenate([(c == 3).ravel() for c in found.values()]))
    assert (sum(t.astype(int) for t in tests) == 1).all()


def test_an_empty_split_is_refused_with_the_shares_it_would_get():
    lattices = {"a": box(0, 0, 100), "b": box(30_000, 0, 100)}
    with pytest.raises(InputError, match=r"no ground of split validation .* 2 blocks .* validation 0\.0 %.*lower"):
        codes(split(block=512, gap=96), lattices)
    with pytest.raises(InputError, match=r"room for a patch of 64 pixels"):  # ground, but in pieces
        codes(split(block=50, gap=0, tolerance=1.0), lattices, patch=64)


def test_shares_that_are_missed_are_refused_and_the_advice_helps():
    lattices = {f"s{i}": box(i * 30_000, 0, 100) for i in range(3)}
    config = split(block=512, gap=96)
    with pytest.raises(InputError, match=r"or raise dataset\.split\.tolerance \(0\.05\) to 0\.3[78]") as caught:
        codes(config, lattices)
    config.tolerance = float(str(caught.value).rpartition(" ")[2])
    assert shares(codes(config, lattices)).min() > 0.3
    config.tolerance, config.block, config.gap = 0.05, 20, 2
    codes(config, lattices)


def test_too_many_blocks_and_no_share():
    with pytest.raises(InputError, match="raise it"):
        codes(split(block=1, gap=0), {"a": box(0, 0, 400)})
    with pytest.raises(InputError, match="shares are all zero"):
        codes(split(shares={"train": 0.0, "validation": 0.0, "test": 0.0}), {"a": box(0)})
