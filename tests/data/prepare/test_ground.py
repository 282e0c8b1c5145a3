"""No ground belongs to two splits."""

import pyproj
import pytest
import shapely
from ml_collections import ConfigDict

from jointseg_jax.configs import common
from jointseg_jax.data.prepare import ground
from jointseg_jax.data.prepare.patch_index import check_room
from jointseg_jax.data.prepare.site_work import SitePlan
from jointseg_jax.data.prepare.sources import SiteEntry
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import make_lattice

pytestmark = pytest.mark.quick


def entry(name, place=None, split=""):
    return SiteEntry(name, place or name, "r", "2021", None, split)


def box(left, top=3_400_020, size=30, crs="EPSG:32650"):
    return make_lattice(crs, 500_000 + left, top, 10, size, size)


def by_site(**table):
    config = common.dataset("x").split
    config.table = ConfigDict(table)
    return config


def check_apart(config, sites, lattices):
    ground.check_apart(ground.given_splits(config, sites), lattices)


def test_splits_of_sites_come_from_the_column_and_the_table():
    config = by_site(test=("a",))
    sites = [entry("a"), entry("b", split="train"), entry("c", split="validation")]
    assert ground.given_splits(config, sites) == {"a": "test", "b": "train", "c": "validation"}
    config.by = "mixed"
    assert ground.given_splits(config, [*sites, entry("d")]) == {"a": "test", "b": "train", "c": "validation"}
    config.by = "block"  # the column counts always
    assert ground.given_splits(config, sites) == {"b": "train", "c": "validation"}
    config.by = "site"
    with pytest.raises(InputError, match=r"sites \['d'\] are in no split: .* a column split of sites\.csv"):
        ground.given_splits(config, [*sites, entry("d")])
    with pytest.raises(InputError, match=r"puts site 'a' into 'train', but dataset\.split\.table into 'test'"):
        ground.given_splits(config, [entry("a", split="train")])
    with pytest.raises(InputError, match="sites of the place 'p' the splits 'train' and 'test'"):
        ground.given_splits(config, [entry("a", "p", "train"), entry("b", "p", "test")])


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
    check_apart(config, sites, {"a": lattice, "b": beside(lattice, other, 1_000)})


def test_a_site_beyond_its_projection_is_named():
    with pytest.raises(InputError, match="site 'b' lies outside the area where EPSG:32650 is defined: check"):
        check_apart(by_site(train=("a", "b")), [entry("a"), entry("b")], {"a": box(0), "b": box(1e12)})


def test_preparation_keeps_the_gap_between_sites_and_its_rasters(own):
    """Sites `a` and `b` lie 18 pixels apart; other splits, patches and strides link the rasters, not rewrite them."""
    import numpy as np
    import rasterio
    import toy
    from split_gap import gap_between

    from jointseg_jax.data import site_record
    from jointseg_jax.data.prepare.preparation import prepare

    _, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    config.patch = 4
    data = prepare(config, say=toy.quiet)
    rasters = [data.root / path for site in data.sites.values() for path in site.paths]
    before = [path.stat().st_ino for path in rasters]
    config.split.by = "block"
    config.split.block, config.split.gap, config.split.halo, config.split.tolerance = 12, 8, 1, 0.2
    config.patch, config.stride = 3, 3
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert lines[0].startswith("blocks: train ")
    changed = {path.name for path, inode in zip(rasters, before, strict=True) if path.stat().st_ino != inode}
    assert changed == {"split.tif"}
    codes = []
    for site in data.sites.values():
        with rasterio.open(data.root / site.split) as raster:
            codes.append(raster.read(1))
        assert site.pixels == {
            s: int((codes[-1] == c).sum()) for s, c in (("train", 1), ("validation", 2), ("test", 3))
        }
    assert gap_between(np.concatenate([codes[0], np.zeros((36, 18), np.uint8), codes[1]], 1)) >= 8
    site_record.check_rasters(data, data.sites.values(), deep=True)
    assert not list((data.root / "sites").glob("*.2"))


def test_an_empty_split_is_refused_before_anything_is_written(own):
    import toy

    from jointseg_jax.data.prepare.preparation import prepare

    root, config = own
    config.split.by = "block"
    with pytest.raises(InputError, match="no ground of split"):
        prepare(config, say=toy.quiet)
    assert not [path for path in (root.parent / "dataset").rglob("*") if path.suffix in (".tif", ".json", ".parquet")]


def test_preparation_refuses_shared_ground(own):
    import shutil

    from jointseg_jax.data.prepare.preparation import prepare

    root, config = own
    for name in ("s2", "s2_20m", "s1", "dem", "scl", "image", "label"):
        shutil.copy(root / "a" / f"{name}.tif", root / "d" / f"{name}.tif")
    with pytest.raises(InputError, match=r"'a' \(train\) and 'd' \(test\) overlap"):
        prepare(config, say=lambda _: None)


def test_a_patch_larger_than_the_sites_is_refused_before_anything_is_written(own):
    import toy

    from jointseg_jax.data.prepare.preparation import prepare

    root, config = own
    config.patch = 40  # the sites have 36 x 42 pixels
    with pytest.raises(InputError, match=r"no patch of 40 .* split train or validation or test.* dataset\.patch to 36"):
        prepare(config, say=toy.quiet)
    assert not [*(root.parent / "dataset").rglob("*.tif")]


@pytest.mark.parametrize(
    ("code", "stride", "advice"),
    [(1, 20, "lower dataset.patch to 10, or lower dataset.stride to 12, or"), (2, 20, "lower dataset.patch to 15, or")],
)
def test_ground_off_the_grid_of_patches_is_refused_with_advice_that_works(code, stride, advice):
    """A split that begins at pixel 12 of 30 has room for 18 pixels, but patches start where the grid lets them."""
    config = ConfigDict({"patch": 18, "stride": stride})
    lattice = box(0)
    left, bottom, right, top = lattice.boundingbox
    plans = {"a": SitePlan(None, lattice, ((shapely.box(left + 120, bottom, right, top), code),))}
    with pytest.raises(InputError, match=f"no patch of 18 pixels fits .*{advice}"):
        check_room(plans, config)
    config.patch = int(advice.split("patch to ")[1].split(",")[0])
    check_room(plans, config)
    config.patch, config.stride = 18, 12
    if code == 1:
        check_room(plans, config)


def test_ground_where_no_patch_can_start_is_refused_without_advice_on_patches():
    """Training ground begins at pixel 21 of 30, and patches start at 0 and 20, of whatever size."""
    lattice = box(0)
    left, bottom, right, top = lattice.boundingbox
    plans = {"a": SitePlan(None, lattice, ((shapely.box(left + 210, bottom, right, top), 1),))}
    with pytest.raises(InputError, match=r"corner: give larger sites$"):
        check_room(plans, ConfigDict({"patch": 18, "stride": 20}))


def test_patches_with_too_few_labels_are_refused_with_the_share_that_the_best_has(one):
    import numpy as np
    import toy

    from jointseg_jax.data.prepare.preparation import prepare

    folder, config = one
    toy.rewrite(folder / "label.tif", values=lambda s: np.where(np.arange(s.shape[-1]) % 2, s, 255).astype(np.uint8))
    config.min_valid = 0.8
    with pytest.raises(InputError, match=r"labelled on dataset\.min_valid=0\.8 of its ground, the best on 0\.500: low"):
        prepare(config, say=toy.quiet)
    config.min_valid = 0.5
    assert len(prepare(config, say=toy.quiet).index)
