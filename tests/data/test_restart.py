"""A preparation that is repeated, changed, stopped or spoilt never leaves a dataset that lies."""

import shutil

import pytest
import rasterio
import toy

from jointseg_jax.data import prepare as module
from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare import prepare
from jointseg_jax.errors import InputError


def count(lines, what):
    return sum(f", {what}" in line for line in lines)


def test_a_failed_repetition_leaves_no_dataset(own):
    """Other classes for all sites, and one of them broken: its neighbours' rasters are new already."""
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    prepare(config, say=toy.quiet)
    config.label.classes = ((0, 1), (1, 0), (255, 255))
    (root / "b" / "s2.tif").write_bytes((root / "b" / "s2.tif").read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"1 of 2 sites could not be prepared \(b\)"):
        prepare(config, say=toy.quiet)
    with pytest.raises(InputError, match=r"dataset\.json is missing"):
        load(config.path)


def test_files_that_are_not_there_leave_the_dataset_as_it_was(own):
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    prepare(config, say=toy.quiet)
    (root / "b" / "s2.tif").unlink()
    with pytest.raises(InputError, match=r"s2\.tif is missing"):
        prepare(config, say=toy.quiet)
    assert set(load(config.path).sites) == {"a", "b"}


def test_a_site_that_was_being_written_is_not_taken_for_done(one, monkeypatch):
    """Settings A, then B killed half-way, then A again: the rasters are B's."""
    _, config = one
    data = prepare(config, say=toy.quiet)
    label = data.root / data.sites["a"].label
    original = label.read_bytes()

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    config.label.classes = ((0, 1), (1, 0), (255, 255))
    with monkeypatch.context() as patched:
        patched.setattr("jointseg_jax.data.site_rasters.image_units", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, say=toy.quiet)
    assert label.read_bytes() != original
    assert not (data.root / "dataset.json").exists()
    config.label.classes = ((0, 0), (1, 1), (255, 255))
    prepare(config, say=toy.quiet)
    assert label.read_bytes() == original


def test_a_kill_between_index_and_description_leaves_no_dataset(one, monkeypatch):
    _, config = one
    data = prepare(config, say=toy.quiet)

    def killed(*_):
        raise KeyboardInterrupt

    config.patch = 9
    with monkeypatch.context() as patched:
        patched.setattr(module.formats, "write_record", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, say=toy.quiet)
    assert not (data.root / "dataset.json").exists()


@pytest.mark.parametrize("spoil", ["delete", "truncate"])
def test_a_site_with_a_spoilt_raster_is_made_anew(one, spoil):
    _, config = one
    data = prepare(config, say=toy.quiet)
    image = data.root / data.sites["a"].image
    original = image.read_bytes()
    if spoil == "delete":
        image.unlink()
    else:
        image.write_bytes(original[:-100])
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert count(lines, "prepared") == 1
    assert image.read_bytes() == original


def test_a_site_holds_only_what_its_settings_ask_for(one):
    folder, config = one
    shutil.copy(folder / "s2.tif", folder / "later.tif")
    data = prepare(config, say=toy.quiet)
    config.source.layers.s2 = ("s2.tif", "later.tif")
    prepare(config, say=toy.quiet)
    assert sorted(f.name for f in (data.root / "sites" / "a").glob("s2*")) == ["s2_0.tif", "s2_1.tif"]


def test_a_site_that_gets_a_place_gets_its_blocks(one):
    """A second date of the same ground comes later: what tests one must not train the other."""
    folder, config = one
    config.patch = 4
    config.split.by = "block"
    config.split.block, config.split.gap, config.split.halo = 12, 5, 1
    config.split.shares = {"train": 0.4, "validation": 0.3, "test": 0.3}
    prepare(config, say=toy.quiet)
    shutil.copytree(folder, folder.parent / "later")
    config.source.only = ("a", "later")
    rows = ["site,place,region,date,folder", "a,wuhan,south,2021-06-01,a", "later,wuhan,south,2021-06-01,later"]
    (folder.parent / "sites.csv").write_text("\n".join(rows) + "\n")
    data = prepare(config, say=toy.quiet)
    splits = []
    for site in data.sites.values():
        with rasterio.open(data.root / site.split) as raster:
            splits.append(raster.read(1))
    assert (splits[0] == splits[1]).all()


def test_what_lies_behind_a_virtual_raster_counts(one):
    folder, config = one
    (folder / "parts").mkdir()
    (folder / "image.tif").rename(folder / "parts" / "one.tif")
    with rasterio.open(folder / "parts" / "one.tif") as raster:
        wkt, geo = raster.crs.to_wkt(), ", ".join(str(v) for v in raster.transform.to_gdal())
        height, width = raster.shape
    bands = "".join(
        f"""<VRTRasterBand dataType="Byte" band="{i}"><SimpleSource><SourceFilename relativeToVRT="1">parts/one.tif
        </SourceFilename><SourceBand>{i}</SourceBand></SimpleSource></VRTRasterBand>""".replace("\n        ", "")
        for i in (1, 2, 3)
    )
    (folder / "image.vrt").write_text(
        f"""<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>{wkt}</SRS>
        <GeoTransform>{geo}</GeoTransform>{bands}</VRTDataset>"""
    )
    prepare(config, say=toy.quiet)
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert count(lines, "already there") == 1
    (folder / "parts" / "one.tif").touch()
    lines.clear()
    prepare(config, say=lines.append)
    assert count(lines, "prepared") == 1


def test_a_products_metadata_count(one):
    folder, config = one
    prepare(config, say=toy.quiet)
    (folder / "MTD_MSIL2A.xml").write_text("<a><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET></a>")
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert count(lines, "prepared") == 1
