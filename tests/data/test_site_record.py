"""Prepared rasters and the records of a dataset: what is not what was written is found, and made anew."""

import shutil

import pytest
import toy

from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats


@pytest.fixture
def copied(data, tmp_path):
    """A private copy of the prepared dataset."""
    shutil.copytree(data.root, tmp_path / "dataset")
    return tmp_path / "dataset"


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", ["image.tif", "label.tif", "split.tif", "s2.tif"])
def test_a_flipped_bit_in_a_raster_is_found(copied, deep, name):
    data = load(copied)
    site_record.check_rasters(data, data.sites.values(), deep=deep)
    flip(copied / "sites" / "b" / name)
    with pytest.raises(InputError, match=rf"sites/b/{name} has changed since it was written .*jointseg prepare"):
        site_record.check_rasters(data, data.sites.values(), deep=deep)


def test_a_raster_that_is_gone_or_cut_short_is_found(copied):
    data = load(copied)
    (copied / "sites" / "b" / "image.tif").unlink()
    with pytest.raises(InputError, match=r"image\.tif cannot be read"):
        site_record.check_rasters(data, data.sites.values(), deep=False)
    (copied / "sites" / "b" / "image.tif").write_bytes(b"II")
    with pytest.raises(InputError, match=r"image\.tif has 2 bytes instead of"):
        site_record.check_rasters(data, data.sites.values(), deep=False)


def test_preparation_makes_a_site_with_a_flipped_bit_anew(one):
    _, config = one
    data = prepare(config, say=toy.quiet)
    path = data.root / data.sites["a"].label
    whole = path.read_bytes()
    flip(path)
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert "prepared" in lines[0]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"fingerprint": 1}', b'{"site": {}}'])
def test_preparation_repairs_its_own_torn_records(one, content):
    _, config = one
    root = prepare(config, say=toy.quiet).root
    for path in (root / "sites" / "a" / "site.json", root / "dataset.json", root / "index.parquet"):
        path.write_bytes(content)
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "prepared" in lines[0]
    assert set(data.sites) == {"a"}


def test_sites_of_version_1_are_kept_by_their_sizes(one):
    _, config = one
    root = prepare(config, say=toy.quiet).root
    path = root / "sites" / "a" / "site.json"
    record = formats.read_record(path, formats.SITE)
    sizes = {name: kept["bytes"] for name, kept in record["site"].pop("files").items()}
    formats.files.write_json(path, {**record, "sizes": sizes})
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "already there" in lines[0]
    assert data.sites["a"].files.keys() == sizes.keys()


@pytest.mark.parametrize("name", ["dataset.json", "index.parquet"])
@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"\xff" * len(b)])
def test_a_damaged_dataset_is_one_sentence(copied, name, spoil):
    path = copied / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=rf"{name} is damaged \(.*\): prepare the dataset again"):
        load(copied)


def test_every_flipped_bit_of_the_records_is_found(copied, data):
    """A sample of them; a bit in a blank changes nothing."""
    for name, step in (("dataset.json", 991), ("index.parquet", 2503)):
        path = copied / name
        whole = path.read_bytes()
        for bit in range(0, 8 * len(whole), step):
            torn = bytearray(whole)
            torn[bit // 8] ^= 1 << bit % 8
            path.write_bytes(torn)
            try:
                found = load(copied)
            except InputError as error:
                assert name in str(error)  # noqa: PT017
            else:
                assert found.contract == data.contract
                assert found.sites == data.sites
                assert found.index.equals(data.index)
        path.write_bytes(whole)


def test_a_field_of_a_newer_version_is_named(copied):
    toy.edit_dataset(copied, lambda d: d["contract"]["modalities"][0].update(sun_angle=None))
    with pytest.raises(formats.Newer, match=r"dataset\.json has a field 'sun_angle' .*upgrade jointseg-jax"):
        load(copied)


def test_too_little_memory_is_no_damage(toy_config, monkeypatch):
    """The advice to prepare the dataset again would be wrong."""

    def read(*_, **__):
        raise MemoryError

    monkeypatch.setattr("pandas.read_parquet", read)
    with pytest.raises(MemoryError):
        load(toy_config.dataset.path)
