"""Scenes are opened once under the contract, and stay as they were opened until their files change."""

import json
import os
import shutil

import numpy as np
import pytest
import rasterio
import shapely
import toy
from scene_values import assert_same_values, first_modality, read_values

from jointseg_jax.data import dataset as datasets
from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.partition import partition, with_scenes
from jointseg_jax.mapping.scenes.catalogue import ListedScene, from_listed, to_json
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_json


def listed(fields, contract):
    return from_listed(typed.parse(fields, ListedScene, formats.CATALOGUE, "catalogue.json"), contract)


def test_a_scene_a_folder_of_scenes_and_a_dataset(raw, data, tmp_path):
    contract = data.contract
    (one,) = find_scenes(raw / "a", contract, tmp_path)
    assert one.id == "a"
    several = find_scenes(raw, contract, tmp_path)
    assert [f.id for f in several] == ["a", "b", "c", "d"]
    sites = find_scenes(data.root, contract, tmp_path)
    assert [f.id for f in sites] == ["a", "b", "c", "d"]
    assert sites[0].date == "2021-06-01"
    entries, refused = open_all(sites, contract)
    assert not refused
    assert_same_values(read_values(entries[0].scene), read_values(data.scene("a")))


def test_a_site_of_a_dataset_that_was_damaged_is_refused(data, tmp_path):
    """One bit of its pixels would be another map."""
    root = tmp_path / "dataset"
    shutil.copytree(data.root, root)
    path = root / datasets.load(root).sites["a"].layers["s2"][0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    entries, refused = open_all(find_scenes(root, data.contract, tmp_path), data.contract)
    assert [e.id for e in entries] == ["b", "c", "d"]
    assert str(path) in refused[0].reason


def test_a_scene_that_breaks_the_contract_is_refused_alone(raw, data, tmp_path):
    contract = first_modality(data.contract)
    for name in "abcd":
        shutil.copy(raw / name / "s2.tif", tmp_path / f"{name}.tif")
    toy.rewrite(tmp_path / "b.tif", values=lambda v: np.minimum(v.astype(np.uint32) * 5, 65535), dtype="uint16")
    toy.rewrite(tmp_path / "c.tif", crs="EPSG:25832")
    toy.rewrite(tmp_path / "d.tif", transform=rasterio.Affine(10, 0, 500047, 0, -10, 3400020))
    entries, refused = open_all(find_scenes(tmp_path, contract, tmp_path), contract)
    assert [e.id for e in entries] == ["a"]
    reasons = {r.id: r.reason for r in refused}
    assert "training data" in reasons["b"]
    assert "needs scenes in a UTM zone" in reasons["c"]
    assert "is -3.00 m and" in reasons["d"]


def test_an_entry_survives_json(raw, data):
    entries, _ = open_all(find_scenes(raw, data.contract, raw), data.contract)
    text = json.dumps(to_json(entries[1]), allow_nan=False)
    again = listed(json.loads(text), data.contract)
    assert json.dumps(to_json(again)) == text  # to the digit, as digests are taken of it
    assert_same_values(read_values(again.scene), read_values(entries[1].scene))
    np.testing.assert_array_equal(again.valid, entries[1].valid)
    assert not again.valid.all()  # the nodata corner


def test_harmonising_is_decided_once(raw, data):
    contract = data.contract
    entries, _ = open_all(find_scenes(raw / "a", contract, raw), contract, mode="harmonise")
    assert entries[0].scene.layers["s2"][0].adjustment is not None
    again = listed(to_json(entries[0]), contract)
    assert_same_values(read_values(again.scene), read_values(entries[0].scene))


def test_files_that_have_not_changed_are_not_opened_again(raw, data, tmp_path, monkeypatch):
    contract = first_modality(data.contract)
    for name in "ab":
        shutil.copy(raw / name / "s2.tif", tmp_path / f"{name}.tif")
    entries, _ = open_all(find_scenes(tmp_path, contract, tmp_path), contract)
    known = {e.id: e for e in entries}
    opened = []
    real = open_scene.__globals__["open_files"]
    monkeypatch.setattr(
        "jointseg_jax.mapping.scenes.open_all.open_files",
        lambda name, *a, **k: opened.append(name) or real(name, *a, **k),
    )
    toy.rewrite(tmp_path / "b.tif", values=lambda v: v + 1)
    open_all(find_scenes(tmp_path, contract, tmp_path), contract, known=known)
    assert opened == ["b"]


def test_replaced_pixels_are_other_scenes_but_a_touched_file_is_not(raw, data, tmp_path):
    """A scene without compression keeps its size whatever its pixels are."""
    contract = first_modality(data.contract)
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
        entries, _ = open_all(find_scenes(path, contract, tmp_path), contract, known=known)
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
    with pytest.raises(InputError, match="scenes with changed files"):
        plan(tmp_path / "product")
    # A product of before contents and metadata were looked at can be gone on with.
    (tmp_path / "MTD_MSIL2A.xml").write_text(f"<a>{toy.FOOTPRINT}<BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET></a>")
    old, scenes = (read_json(tmp_path / "product" / name) for name in (product_plan.PLAN, product_plan.CATALOGUE))
    old["jointseg"] = formats.unseal(old["jointseg"], formats.PLAN, "")
    scenes = formats.unseal(scenes, formats.CATALOGUE, "")
    del old["jointseg"]["identity"]["contents"], scenes["scenes"][0]["contents"]
    write_json(tmp_path / "product" / product_plan.PLAN, old)
    write_json(tmp_path / "product" / product_plan.CATALOGUE, scenes)
    plan(tmp_path / "product")
    assert "contents" in read_json(tmp_path / "product" / "plan.geojson")["jointseg"]["identity"]


def test_a_corrected_metadata_file_decides_again(raw, data, tmp_path):
    contract = first_modality(data.contract)
    shutil.copy(raw / "a" / "s2.tif", tmp_path / "a.tif")
    toy.rewrite(tmp_path / "a.tif", keep_tags=False)
    offsets = []
    known = {}
    for said in (0, -1000):
        (tmp_path / "MTD_MSIL2A.xml").write_text(f"<a>{toy.FOOTPRINT}<BOA_ADD_OFFSET>{said}</BOA_ADD_OFFSET></a>")
        entries, _ = open_all(find_scenes(tmp_path, contract, tmp_path), contract, known=known)
        known = {e.id: e for e in entries}
        offsets.append(entries[0].scene.layers["s2"][0].modality.offset)
    assert offsets == [0, -1000]
