"""A preparation that is repeated, changed, stopped or spoilt never leaves a dataset that lies."""

import re
import shutil

import harness
import pytest
import rasterio
import toy

from jointseg_jax import cli
from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError


def count(lines, what):
    return sum(f", {what}" in line for line in lines)


def other_classes(config):
    """Settings that change every label."""
    config.label.classes = ((0, 1), (1, 0), (255, 255))


def first_classes(config):
    config.label.classes = ((0, 0), (1, 1), (255, 255))


def contents(root):
    """What a dataset is, to the last byte; paths that may change between generations are left out."""
    data = load(root, hold=False)
    rasters = {name: [(root / path).read_bytes() for path in site.paths] for name, site in data.sites.items()}
    return rasters, data.index.to_csv()


def test_a_failed_repetition_leaves_the_former_dataset(own):
    """Other classes for all sites, and one of them broken: its neighbours are done, and kept for the next run."""
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    dataset = prepare(config, say=toy.quiet).root
    before = contents(dataset)
    other_classes(config)
    whole = (root / "b" / "s2.tif").read_bytes()
    (root / "b" / "s2.tif").write_bytes(whole[:-2000])
    with pytest.raises(InputError, match=r"1 of 2 sites could not be prepared \(b\)"):
        prepare(config, say=toy.quiet)
    assert contents(dataset) == before
    (root / "b" / "s2.tif").write_bytes(whole)
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert (count(lines, "already there"), count(lines, "prepared")) == (1, 1)
    assert contents(dataset) != before
    assert sorted(f.name for f in (dataset / "sites").iterdir() if f.is_dir()) == ["a", "b"]
    assert sorted(f.name for f in dataset.glob("index*")) == ["index.parquet"]


def test_files_that_are_not_there_leave_the_dataset_as_it_was(own):
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    prepare(config, say=toy.quiet)
    (root / "b" / "s2.tif").unlink()
    with pytest.raises(InputError, match=r"s2\.tif is missing"):
        prepare(config, say=toy.quiet)
    assert set(load(config.path).sites) == {"a", "b"}


def killed(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "where",
    [
        "jointseg_jax.data.prepare.site.rasters.image_units",  # in the middle of a site
        "jointseg_jax.data.prepare.preparation.patch_index",  # all sites are done
        "jointseg_jax.data.site_record.keep",  # before the record of a site
        "jointseg_jax.data.prepare.site_folders.SiteFolders._swap",
        "jointseg_jax.data.prepare.site_folders._remove",  # the new dataset is there, the former rasters too
        "jointseg_jax.data.prepare.site_folders.os.link",
    ],
)
def test_there_is_a_whole_dataset_whenever_a_repetition_is_killed(one, monkeypatch, where):
    _, config = one
    root = prepare(config, say=toy.quiet).root
    first = contents(root)
    (root / "sites" / ".partial-gone").mkdir()  # of a site that is no longer asked for
    other_classes(config)
    with monkeypatch.context() as patched:
        patched.setattr(where, killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, say=toy.quiet)
    between = contents(root)
    prepare(config, say=toy.quiet)
    second = contents(root)
    assert between in (first, second)
    assert first != second
    assert sorted(f.name for f in (root / "sites").iterdir() if f.name != ".readers") == ["a"]
    first_classes(config)
    prepare(config, say=toy.quiet)
    assert contents(root) == first


def test_a_reader_keeps_its_files(one):
    """A training holds the dataset while other settings are prepared: both have all they need."""
    _, config = one
    root = prepare(config, say=toy.quiet).root
    reader = load(root)
    before = contents(root)
    other_classes(config)
    config.patch = 9
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert any("former rasters stay" in line for line in lines)
    after = contents(root)
    assert after != before
    assert [(root / path).read_bytes() for path in reader.sites["a"].paths] == before[0]["a"]
    assert load(root, hold=False).sites["a"].label == "sites/a.2/label.tif"
    reader.mark.close()
    lines.clear()
    prepare(config, say=lines.append)
    assert count(lines, "already there") == 1
    assert contents(root) == after
    assert load(root, hold=False).sites["a"].label == "sites/a/label.tif"
    assert sorted(f.name for f in (root / "sites").iterdir() if f.name != ".readers") == ["a"]
    assert [f.name for f in root.glob("index*")] == ["index.parquet"]


def test_without_hard_links_new_rasters_stay_where_they_are(one, monkeypatch):
    def unknown(*args):
        raise OSError(1, "Operation not permitted")

    _, config = one
    root = prepare(config, say=toy.quiet).root
    other_classes(config)
    monkeypatch.setattr("jointseg_jax.data.prepare.site_folders.os.link", unknown)
    assert prepare(config, say=toy.quiet).sites["a"].label == "sites/a.2/label.tif"
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert count(lines, "already there") == 1
    assert sorted(f.name for f in (root / "sites").iterdir() if f.name != ".readers") == ["a.2"]


def test_what_others_put_beside_the_rasters_stays(one):
    _, config = one
    root = prepare(config, say=toy.quiet).root
    (root / "sites" / "a" / "notes.txt").write_text("mine")
    (root / "sites" / "a" / "own.tif").write_text("mine")
    for change in (other_classes, first_classes, other_classes):
        change(config)
        prepare(config, say=toy.quiet)
        assert (root / "sites" / "a" / "notes.txt").read_text() == "mine"
        assert (root / "sites" / "a" / "own.tif").read_text() == "mine"


def test_a_damaged_record_of_a_site_is_no_dead_end(one):
    _, config = one
    root = prepare(config, say=toy.quiet).root
    before = contents(root)
    (root / "sites" / "a" / "site.json").write_text('{"fingerprint": "')
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert count(lines, "prepared") == 1
    assert contents(root) == before
    assert not (root / "sites" / "a").exists() or load(root).sites["a"].label == "sites/a/label.tif"


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
    config.source.cloud = ("scl.tif", "scl.tif")
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


@pytest.mark.parametrize("leave", [0, 4_096, 12_288, 60_000, 200_000, 300_000])
def test_a_full_disk_ends_the_preparation_and_names_the_file(one, tmp_path, capsys, leave):
    """Whatever is being written when it fills up: the marker, the first raster, the last."""
    _, config = one
    with harness.small_disk(tmp_path / "disk", 4) as disk:
        config.path = str(disk / "dataset")
        filler = harness.fill(disk, leave=leave)
        assert cli.status_of(lambda: prepare(config, say=toy.quiet) and None) == 74
        said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("_tiff")]
        assert len(said) == 1
        assert re.match(rf"error: {disk}/dataset\S* cannot be .*(written|No space left on device)", said[0])
        assert not list(disk.rglob(".partial*"))
        filler.unlink()
        assert set(prepare(config, say=toy.quiet).sites) == {"a"}


def test_a_stopped_preparation_loses_no_site(own, monkeypatch):
    """SIGTERM and Ctrl-C end it by an exception: the site in hand is given up, those before it are kept."""
    _, config = own
    toy.keep_only(config, "a", "b", "c")
    config.inputs = ("s2",)
    from jointseg_jax.data.prepare import site_work as module

    real = module.prepare_site

    def stopped(source, *rest):
        if source.entry.name == "b":
            raise KeyboardInterrupt
        return real(source, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(module, "prepare_site", stopped)
        with pytest.raises(KeyboardInterrupt):
            prepare(config, say=toy.quiet)
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert (count(lines, "already there"), count(lines, "prepared")) == (1, 2)
