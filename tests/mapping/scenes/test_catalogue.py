"""What --input may be; how scenes are opened once, and stay as they were opened."""

import json
import os
import shutil

import numpy as np
import pytest
import rasterio
import shapely
import toy

from jointseg_jax.data import dataset as datasets
from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.partition import partition, with_scenes
from jointseg_jax.mapping.scenes.catalogue import ListedScene, from_listed, open_all, to_json
from jointseg_jax.mapping.scenes.find import find, is_single, iso_date
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_json


@pytest.fixture
def optical(data):
    """A contract of Sentinel-2 alone."""
    return data.contract.replace(modalities=tuple(m for m in data.contract.modalities if m.name in ("s2", "s2_20m")))


def single(contract: Contract) -> Contract:
    return contract.replace(modalities=contract.modalities[:1])


def listed(fields, contract):
    return from_listed(typed.parse(fields, ListedScene, formats.CATALOGUE, "catalogue.json"), contract)


def read(entry, window=None):
    handles = Handles()
    found = entry.scene.read(window or Window(-3, -2, 20, 23), handles)
    handles.close()
    return found


def assert_same(a, b):
    for name in a:
        for key in a[name]:
            np.testing.assert_array_equal(a[name][key], b[name][key])


def test_a_scene_a_folder_of_scenes_and_a_dataset(raw, data, tmp_path):
    contract = data.contract
    (one,) = find(raw / "a", contract, tmp_path)
    assert one.id == "a"
    several = find(raw, contract, tmp_path)
    assert [f.id for f in several] == ["a", "b", "c", "d"]
    sites = find(data.root, contract, tmp_path)
    assert [f.id for f in sites] == ["a", "b", "c", "d"]
    assert sites[0].date == "2021-06-01"
    entries, refused = open_all(sites, contract)
    assert not refused
    handles = Handles()
    expected = data.scene("a").read(Window(-3, -2, 20, 23), handles)
    handles.close()
    assert_same(read(entries[0]), expected)


@pytest.mark.parametrize(
    ("date", "expected", "interval"),
    [
        ("2021-06-01", "2021-06-01T00:00:00Z", ("2021-06-01T00:00:00Z",) * 2),
        ("2021-06-01 03:25", "2021-06-01T03:25:00Z", ("2021-06-01T03:25:00Z",) * 2),
        ("summer 2021", None, None),
        ("01.06.2021", None, None),
        ("2021", None, ("2021-01-01T00:00:00Z", "2021-12-31T23:59:59Z")),
        ("2021-02", None, ("2021-02-01T00:00:00Z", "2021-02-28T23:59:59Z")),
        ("2021-06-01/2021-06-11", None, ("2021-06-01T00:00:00Z", "2021-06-11T23:59:59Z")),
    ],
)
def test_dates_of_datasets_that_were_prepared_unchecked(data, tmp_path, date, expected, interval):
    """A map's records, written last, take ISO times only."""
    for name in ("sites", "index.parquet"):
        (tmp_path / name).symlink_to(data.root / name)
    shutil.copy(data.root / "dataset.json", tmp_path)
    toy.edit_dataset(tmp_path, lambda description: description["sites"][0].update(date=date))
    entries, _ = open_all(find(tmp_path, data.contract, tmp_path)[:1], data.contract)
    assert entries[0].datetime == expected
    assert entries[0].interval == interval


def test_a_site_of_a_dataset_that_was_damaged_is_refused(data, tmp_path):
    """One bit of its pixels would be another map."""
    root = tmp_path / "dataset"
    shutil.copytree(data.root, root)
    path = root / datasets.load(root).sites["a"].layers["s2"][0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    entries, refused = open_all(find(root, data.contract, tmp_path), data.contract)
    assert [e.id for e in entries] == ["b", "c", "d"]
    assert str(path) in refused[0].reason


def test_rasters_in_a_folder(raw, data, tmp_path):
    contract = single(data.contract)
    for name, date in (("a", "T50RKU_20210601T031500"), ("b", "later_2021-06-11")):
        shutil.copy(raw / name / "s2.tif", tmp_path / f"{date}_{name}.tif")
    (tmp_path / "readme.txt").write_text("")
    entries, refused = open_all(find(tmp_path, contract, tmp_path / "inputs"), contract)
    assert not refused
    assert [e.datetime for e in entries] == ["2021-06-01T03:15:00Z", "2021-06-11T00:00:00Z"]
    assert is_single(tmp_path / "x.tif", contract)
    assert not is_single(tmp_path, contract)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S2A_MSIL2A_20210601T031541_N0300", "2021-06-01T03:15:41Z"),
        ("2021-06-01T03:15:41.024Z", "2021-06-01T03:15:41Z"),
        ("scene-2021-06-01", "2021-06-01"),
        ("scene20210601", "2021-06-01"),
        ("tile_120210601", ""),
        ("2021", ""),
        ("20211301", ""),
        ("20210230", ""),
    ],
)
def test_dates(text, expected):
    assert iso_date(text) == expected


def test_an_entry_survives_json(raw, data):
    entries, _ = open_all(find(raw, data.contract, raw), data.contract)
    text = json.dumps(to_json(entries[1]), allow_nan=False)
    again = listed(json.loads(text), data.contract)
    assert json.dumps(to_json(again)) == text  # to the digit, as digests are taken of it
    assert_same(read(again), read(entries[1]))
    np.testing.assert_array_equal(again.valid, entries[1].valid)
    assert not again.valid.all()  # the nodata corner


def test_harmonising_is_decided_once(raw, data):
    contract = data.contract
    entries, _ = open_all(find(raw / "a", contract, raw), contract, mode="harmonise")
    assert entries[0].scene.layers["s2"][0].adjustment is not None
    again = listed(to_json(entries[0]), contract)
    assert_same(read(again), read(entries[0]))


def test_files_that_have_not_changed_are_not_opened_again(raw, data, tmp_path, monkeypatch):
    contract = single(data.contract)
    for name in "ab":
        shutil.copy(raw / name / "s2.tif", tmp_path / f"{name}.tif")
    entries, _ = open_all(find(tmp_path, contract, tmp_path), contract)
    known = {e.id: e for e in entries}
    opened = []
    real = open_scene.__globals__["open_files"]
    monkeypatch.setattr(
        "jointseg_jax.mapping.scenes.catalogue.open_files",
        lambda name, *a, **k: opened.append(name) or real(name, *a, **k),
    )
    toy.rewrite(tmp_path / "b.tif", values=lambda v: v + 1)
    open_all(find(tmp_path, contract, tmp_path), contract, known=known)
    assert opened == ["b"]


def test_replaced_pixels_are_other_scenes_but_a_touched_file_is_not(raw, data, tmp_path):
    """A scene without compression keeps its size whatever its pixels are."""
    contract = single(data.contract)
    path = tmp_path / "a.tif"
    with rasterio.open(raw / "a" / "s2.tif") as raster:
        profile = {k: v for k, v in raster.profile.items() if k != "compress"}
        stack, names, tags = raster.read(), raster.descriptions, raster.tags()

    def write(values):
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(values)
            raster.descriptions = names
            raster.update_tags(**tags)

    def plan(product):
        known = product_plan.known_scenes(product, "key", contract)
        entries, _ = open_all(find(path, contract, tmp_path), contract, known=known)
        area = to_degrees(shapely.box(*entries[0].bounds), zone_of_epsg(entries[0].epsg))
        tiles = with_scenes(list(partition(area)), entries, 0)
        network = {"step": 0, "weights": "ema", "sha256": "0"}
        product_plan.save(
            product, product_plan.Plan(tuple(tiles), product_plan.Settings(), network, {}), entries, "key"
        )

    write(stack)
    size = path.stat().st_size
    plan(tmp_path / "product")
    write_json(tmp_path / "product" / "ledger" / "50N_0000_0000.json", {})
    os.utime(path, (1, 1))
    plan(tmp_path / "product")
    stack[:, 10:20, 10:20] += 1
    write(stack)
    assert path.stat().st_size == size
    with pytest.raises(InputError, match="other scenes or changed files of them"):
        plan(tmp_path / "product")
    # A product of before contents and metadata were looked at can be gone on with.
    (tmp_path / "MTD_MSIL2A.xml").write_text("<a><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET></a>")
    old, scenes = (read_json(tmp_path / "product" / name) for name in (product_plan.PLAN, product_plan.CATALOGUE))
    old["jointseg"] = formats.unseal(old["jointseg"], formats.PLAN, "")
    scenes = formats.unseal(scenes, formats.CATALOGUE, "")
    del old["jointseg"]["identity"]["contents"], scenes["scenes"][0]["contents"]
    write_json(tmp_path / "product" / product_plan.PLAN, old)
    write_json(tmp_path / "product" / product_plan.CATALOGUE, scenes)
    plan(tmp_path / "product")
    assert "contents" in read_json(tmp_path / "product" / "plan.geojson")["jointseg"]["identity"]


def test_a_corrected_metadata_file_decides_again(raw, data, tmp_path):
    contract = single(data.contract)
    shutil.copy(raw / "a" / "s2.tif", tmp_path / "a.tif")
    toy.rewrite(tmp_path / "a.tif", keep_tags=False)
    offsets = []
    known = {}
    for said in (0, -1000):
        (tmp_path / "MTD_MSIL2A.xml").write_text(f"<a><BOA_ADD_OFFSET>{said}</BOA_ADD_OFFSET></a>")
        entries, _ = open_all(find(tmp_path, contract, tmp_path), contract, known=known)
        known = {e.id: e for e in entries}
        offsets.append(entries[0].scene.layers["s2"][0].modality.offset)
    assert offsets == [0, -1000]


def test_a_scene_that_breaks_the_contract_is_refused_alone(raw, data, tmp_path):
    contract = single(data.contract)
    for name in "abcd":
        shutil.copy(raw / name / "s2.tif", tmp_path / f"{name}.tif")
    toy.rewrite(tmp_path / "b.tif", values=lambda v: np.minimum(v.astype(np.uint32) * 5, 65535), dtype="uint16")
    toy.rewrite(tmp_path / "c.tif", crs="EPSG:25832")
    toy.rewrite(tmp_path / "d.tif", transform=rasterio.Affine(10, 0, 500047, 0, -10, 3400020))
    entries, refused = open_all(find(tmp_path, contract, tmp_path), contract)
    assert [e.id for e in entries] == ["a"]
    reasons = {r.id: r.reason for r in refused}
    assert "training data" in reasons["b"]
    assert "no UTM zone" in reasons["c"]
    assert "-3.00 m" in reasons["d"]


def test_what_is_no_input_is_one_sentence(data, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find(tmp_path / "nowhere", data.contract, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no scene"):
        find(tmp_path / "empty", data.contract, tmp_path)
    for text, message in (
        ("{", "cannot be read as JSON"),
        ("{}", "is no STAC"),
        ('{"type": "Collection"}', "no STAC item"),
    ):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=message):
            find(tmp_path / "x.json", data.contract, tmp_path)


def test_another_dataset_is_refused(data, tmp_path):
    first = data.contract.modalities[0]
    import dataclasses

    other = data.contract.replace(modalities=(dataclasses.replace(first, units="display"),))
    with pytest.raises(InputError, match="does not fit the network"):
        find(data.root, other, tmp_path)


def split_bands(source, folder, names):
    """One raster per band, as Sentinel-2 archives have them."""
    folder.mkdir(parents=True, exist_ok=True)
    with rasterio.open(source) as raster:
        stack, profile = raster.read(), raster.profile
    profile["count"] = 1
    for number, name in enumerate(names):
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as raster:
            raster.write(stack[number : number + 1])


@pytest.fixture
def stac(raw, optical, tmp_path):
    """A collection of two items with one asset per band, named as one archive names them."""
    names = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "B11": "swir16", "B12": "swir22"}
    links = []
    for site in "ab":
        folder = tmp_path / "stac" / site
        split_bands(raw / site / "s2.tif", folder, ("B02", "B03", "B04", "B08"))
        split_bands(raw / site / "s2_20m.tif", folder, ("B11", "B12"))
        (folder / "scl.tif").write_bytes((raw / site / "scl.tif").read_bytes())
        item = {
            "type": "Feature", "stac_version": "1.1.0", "id": f"S2_{site}", "geometry": None,
            "properties": {
                "datetime": "2021-06-01T03:15:41Z", "eo:cloud_cover": 7.5, "s2:processing_baseline": "05.00",
            },
            "assets": {
                **{n: {"href": f"./{b}.tif", "roles": ["data"], "eo:bands": [{"name": b}]} for b, n in names.items()},
                "scl": {"href": "./scl.tif", "roles": ["data"]},
            },
        }  # fmt: skip
        write_json(folder / "item.json", item)
        links.append({"rel": "item", "href": f"./{site}/item.json"})
    write_json(tmp_path / "stac" / "collection.json", {"type": "Collection", "id": "c", "links": links})
    return tmp_path / "stac"


def test_stac_items_are_stacked_without_a_copy(stac, raw, optical, tmp_path):
    for source in (stac, stac / "collection.json"):
        found = find(source, optical, tmp_path / "inputs")
        entries, refused = open_all(found, optical)
        assert not refused
        assert [(e.id, e.date, e.cloud) for e in entries] == [
            ("S2_a", "2021-06-01T03:15:41Z", 7.5),
            ("S2_b", "2021-06-01T03:15:41Z", 7.5),
        ]
        assert_same(read(entries[0]), read(open_all(find(raw / "a", optical, tmp_path), optical)[0][0]))
        assert "processing baseline is 05.00" in entries[0].decisions["radiometry_s2"]
        assert (tmp_path / "inputs" / "S2_a" / "s2.vrt").is_file()
        behind = {path for path, _, _ in entries[0].stamps}
        assert str(stac / "a" / "B02.tif") in behind


def test_the_baseline_of_the_copernicus_catalogue_counts(stac, optical, tmp_path):
    """Its items call it processing:version, and name assets by band and spacing."""
    item = read_json(stac / "a" / "item.json")
    item["properties"] = {"datetime": "2023-06-01T00:00:00Z", "processing:version": "05.09"}
    item["assets"] = {f"{b['eo:bands'][0]['name']}_10m": b for b in item["assets"].values() if "eo:bands" in b}
    for name in ("B02", "B03", "B04", "B08", "B11", "B12"):
        toy.rewrite(stac / "a" / f"{name}.tif", keep_tags=False)
    write_json(tmp_path / "item.json", item)
    write_json(stac / "a" / "item.json", item)
    entries, refused = open_all(find(stac / "a" / "item.json", optical, tmp_path / "inputs"), optical)
    assert not refused
    assert "baseline is 05.09" in entries[0].decisions["radiometry_s2"]


def test_one_asset_per_modality(stac, raw, optical, tmp_path):
    item = read_json(stac / "a" / "item.json")
    item["assets"] = {name: {"href": str(raw / "a" / f"{name}.tif")} for name in ("s2", "s2_20m")}
    write_json(tmp_path / "items.json", {"type": "FeatureCollection", "features": [item]})
    entries, refused = open_all(find(tmp_path / "items.json", optical, tmp_path / "inputs"), optical)
    assert not refused
    assert_same(read(entries[0]), read(open_all(find(raw / "a", optical, tmp_path), optical)[0][0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda assets: assets.pop("blue"), "no asset for B02"),
        (lambda assets: assets.update(blue={"href": "https://example.org/B02.tif"}), "is remote"),
        (lambda assets: assets.update(blue={"href": "./gone.tif"}), "cannot be read (No such file"),
        (lambda assets: assets.update(blue={"href": "./B11.tif"}), "partner"),
        (
            lambda assets: assets.update({f"b02-{k}": dict(assets["blue"]) for k in "xy"}) or assets.pop("blue"),
            "more than",
        ),
    ],
)
def test_items_that_do_not_do_are_refused_alone(stac, optical, tmp_path, change, message):
    item = read_json(stac / "a" / "item.json")
    change(item["assets"])
    write_json(stac / "a" / "item.json", item)
    entries, refused = open_all(find(stac, optical, tmp_path / "inputs"), optical)
    assert [e.id for e in entries] == ["S2_b"]
    assert message in refused[0].reason


def test_two_items_of_one_name_are_refused(stac, optical, tmp_path):
    item = read_json(stac / "b" / "item.json")
    write_json(stac / "b" / "item.json", {**item, "id": "S2_a"})
    with pytest.raises(InputError, match="two scenes named 'S2_a'"):
        find(stac, optical, tmp_path / "inputs")


def test_items_of_similar_names_keep_their_own_pixels(stac, raw, optical, tmp_path):
    item = read_json(stac / "b" / "item.json")
    write_json(stac / "b" / "item.json", {**item, "id": "S2:a"})
    entries, _ = open_all(find(stac, optical, tmp_path / "inputs"), optical)
    for entry, site in zip(entries, "ab", strict=True):
        assert_same(read(entry), read(open_all(find(raw / site, optical, tmp_path), optical)[0][0]))
