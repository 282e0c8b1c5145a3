"""Records are refused rather than wrong, and leave the files of others alone."""

import shutil

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.storage.folders import MARKER


def test_what_others_put_beside_the_records_stays(written, card):
    folder, rows = written
    mine = [folder / name for name in ("items/mine.json", "sources/mine.json", "mosaics/mine.vrt", "notes.txt")]
    for path in mine:
        path.write_text("mine")
    del rows["51N_0002_0340"]
    write_records(folder, rows, card, say=lambda _: None)
    assert all(path.read_text() == "mine" for path in mine)
    assert not list((folder / "mosaics").glob("*32651*"))


@pytest.mark.parametrize("name", ["collection.json", "model.json", "index.geojson", "items/50N_0000_0340.json"])
def test_a_file_of_a_records_name_that_is_not_ours_is_refused(product, card, name):
    folder, rows = product
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(InputError, match=rf"{name} was not written by this program .*: move it"):
        write_records(folder, rows, card, say=lambda _: None)
    assert (folder / name).read_text() == "{}"
    (folder / name).rename(folder / "elsewhere.json")
    write_records(folder, rows, card, say=lambda _: None)


def test_records_of_before_folders_were_marked_are_known(written, card):
    folder, rows = written
    (folder / MARKER).unlink()
    for style in [*(folder / "mosaics").glob("*.qml"), folder / "product.qgs"]:
        style.unlink()  # products of that time had none
    (folder / "items" / "mine.json").write_text("mine")
    del rows["50N_0003_0340"]
    write_records(folder, rows, card, say=lambda _: None)
    assert not (folder / "items" / "50N_0003_0340.json").exists()
    assert not list((folder / "sources").glob("*0003*"))
    assert (folder / "items" / "mine.json").exists()


def test_no_tile_is_one_sentence(tmp_path, card):
    with pytest.raises(InputError, match="no finished tile"):
        write_records(tmp_path, {}, card)


def test_files_that_are_not_what_the_ledger_means(product, card):
    folder, rows = product
    path = folder / rows["50N_0001_0340"]["files"]["impervious"]["path"]
    whole = path.read_bytes()

    def attempt(match):
        with pytest.raises(InputError, match=match):
            write_records(folder, rows, card, say=lambda _: None)
        assert not (folder / "collection.json").exists()
        assert not (folder / "items").exists()

    path.unlink()
    attempt("missing on disk")
    path.write_bytes(whole[: len(whole) // 2])
    attempt("bytes, but the ledger lists")
    path.write_bytes(bytes(len(whole)))
    attempt("is not a GeoTIFF")
    other = folder / rows["50N_0002_0340"]["files"]["impervious"]["path"]
    shutil.copy(other, path)
    rows["50N_0001_0340"]["files"]["impervious"]["bytes"] = path.stat().st_size
    attempt("does not match the place")
    path.write_bytes(whole)
    rows["50N_0001_0340"]["files"]["impervious"]["bytes"] = len(whole)
    rows["50N_0001_0340"]["epsg"] = 32651
    attempt("does not match the place")


def test_two_networks_in_one_product_are_refused(product, card):
    folder, rows = product
    rows["50N_0002_0340"]["model"]["sha256"] = "cd" * 32
    with pytest.raises(InputError, match=r"50N_0002_0340.*one network"):
        write_records(folder, rows, card)
    rows["50N_0002_0340"]["model"]["sha256"] = "ab" * 32
    card["properties"]["mlm:hyperparameters"]["weights"] = "raw"
    with pytest.raises(InputError, match="one network"):
        write_records(folder, rows, card)
