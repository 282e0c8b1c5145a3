"""STAC items: their assets are stacked into one raster per modality, or refused by name."""

import pytest
import rasterio
import toy
from scene_values import assert_same_values, read_values

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.storage.files import read_json, write_json


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
        found = find_scenes(source, optical, tmp_path / "inputs")
        entries, refused = open_all(found, optical)
        assert not refused
        assert [(e.id, e.date, e.cloud) for e in entries] == [
            ("S2_a", "2021-06-01T03:15:41Z", 7.5),
            ("S2_b", "2021-06-01T03:15:41Z", 7.5),
        ]
        (same,), _ = open_all(find_scenes(raw / "a", optical, tmp_path), optical)
        assert_same_values(read_values(entries[0].scene), read_values(same.scene))
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
    entries, refused = open_all(find_scenes(stac / "a" / "item.json", optical, tmp_path / "inputs"), optical)
    assert not refused
    assert "baseline is 05.09" in entries[0].decisions["radiometry_s2"]


def test_one_asset_per_modality(stac, raw, optical, tmp_path):
    item = read_json(stac / "a" / "item.json")
    item["assets"] = {name: {"href": str(raw / "a" / f"{name}.tif")} for name in ("s2", "s2_20m")}
    write_json(tmp_path / "items.json", {"type": "FeatureCollection", "features": [item]})
    entries, refused = open_all(find_scenes(tmp_path / "items.json", optical, tmp_path / "inputs"), optical)
    assert not refused
    (same,), _ = open_all(find_scenes(raw / "a", optical, tmp_path), optical)
    assert_same_values(read_values(entries[0].scene), read_values(same.scene))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda assets: assets.pop("blue"), "no asset for B02"),
        (lambda assets: assets.update(blue={"href": "ftp://example.org/B02.tif"}), "kind 'ftp' is not supported"),
        (lambda assets: assets.update(blue={"href": "./gone.tif"}), "cannot be read (No such file"),
        (lambda assets: assets.update(blue={"href": "./B11.tif"}), "are expected: warp"),
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
    entries, refused = open_all(find_scenes(stac, optical, tmp_path / "inputs"), optical)
    assert [e.id for e in entries] == ["S2_b"]
    assert message in refused[0].reason


def test_two_items_of_one_name_are_refused(stac, optical, tmp_path):
    item = read_json(stac / "b" / "item.json")
    write_json(stac / "b" / "item.json", {**item, "id": "S2_a"})
    with pytest.raises(InputError, match="two scenes named 'S2_a'"):
        find_scenes(stac, optical, tmp_path / "inputs")


def test_items_of_similar_names_keep_their_own_pixels(stac, raw, optical, tmp_path):
    item = read_json(stac / "b" / "item.json")
    write_json(stac / "b" / "item.json", {**item, "id": "S2:a"})
    entries, _ = open_all(find_scenes(stac, optical, tmp_path / "inputs"), optical)
    for entry, site in zip(entries, "ab", strict=True):
        (same,), _ = open_all(find_scenes(raw / site, optical, tmp_path), optical)
        assert_same_values(read_values(entry.scene), read_values(same.scene))
