"""Scenes of STAC on a real server: static catalogues and an API, with COGs that are read by ranges."""

import json

import pytest
import stac_files
from scene_values import assert_same_values, read_values
from web_server import serving

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import find_scenes, is_single
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters import remote
from jointseg_jax.sources.wanted import Wanted, around

JUNE = around("2021-06", 0)


@pytest.fixture
def server(raw, tmp_path, monkeypatch):
    """Serves the COGs of two sites, a static catalogue of both, and an API with a third item of another year."""
    monkeypatch.setenv(remote.REMOTE, "1")
    web = tmp_path / "web"
    boxes = {site: stac_files.write_cogs(raw / site, web / "cogs" / site) for site in "ab"}
    stac_files.write_catalogue(
        web / "stac", [stac_files.item(f"S2_{site}", f"../../cogs/{site}", box) for site, box in boxes.items()]
    )
    with serving(web) as server:
        cogs = f"{server.address}/cogs"
        items = [stac_files.item(f"S2_{site}", f"{cogs}/{site}", box) for site, box in boxes.items()]
        items += [
            stac_files.item(f"old_{k}", f"{cogs}/a", boxes["a"], date=f"2019-06-0{k}T03:25:41Z") for k in (1, 2, 3)
        ]
        server.items["s2"], server.boxes = items, boxes
        yield server


def same_as(entry, site, raw, optical, tmp_path):
    (same,), _ = open_all(find_scenes(raw / site, optical, tmp_path), optical)
    assert_same_values(read_values(entry.scene), read_values(same.scene))


def test_a_static_catalogue_by_http(server, raw, optical, tmp_path):
    address = f"{server.address}/stac/catalog.json"
    assert not is_single(address, optical)
    entries, refused = open_all(find_scenes(address, optical, tmp_path / "inputs"), optical)
    assert not refused
    assert [(e.id, e.date, e.cloud) for e in entries] == [(f"S2_{s}", "2021-06-03T03:25:41Z", 7.5) for s in "ab"]
    same_as(entries[0], "a", raw, optical, tmp_path)
    assert "processing baseline is 05.00" in entries[0].decisions["radiometry_s2"]
    assert "cloud by SCL.tif" in entries[0].decisions["radiometry_s2"]
    files = [path for path, *_ in entries[0].stamps]
    assert str(remote.path_of(f"{server.address}/cogs/a/B02.tif")) in files
    assert str(remote.path_of(f"{server.address}/cogs/a/SCL.tif")) in files
    # The same files again: nothing is opened; a changed one is.
    known = {e.id: e for e in entries}
    again, _ = open_all(find_scenes(address, optical, tmp_path / "inputs"), optical, known=known)
    assert again[0] is entries[0]


def test_of_a_static_catalogue_only_what_is_wanted_is_opened(server, optical, tmp_path):
    west, south, _, north = server.boxes["a"]
    wanted = Wanted((west, south, west + 1e-4, north), JUNE)
    found = find_scenes(f"{server.address}/stac/catalog.json", optical, tmp_path, wanted=wanted)
    assert [scene.id for scene in found] == ["S2_a"]
    with pytest.raises(InputError, match="no scene for the wanted ground and time"):
        find_scenes(f"{server.address}/stac/catalog.json", optical, tmp_path, wanted=Wanted(None, around("2019", 0)))


def test_a_local_catalogue_of_remote_files(server, raw, optical, tmp_path):
    record = server.items["s2"][0]
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [record]}))
    (entry,), refused = open_all(find_scenes(tmp_path / "items.json", optical, tmp_path / "inputs"), optical)
    assert not refused
    same_as(entry, "a", raw, optical, tmp_path)


@pytest.mark.parametrize("keys", [stac_files.EARTH_SEARCH, stac_files.COPERNICUS])
def test_an_api_is_searched_over_all_pages(server, raw, optical, tmp_path, keys):
    """By ground, time and collection; the answer is kept, so a resumed job finds the same."""
    cogs = f"{server.address}/cogs"
    for name, version in (("late_1", "05.10"), ("late_2", "05.10")):
        new = stac_files.item(name, f"{cogs}/a", server.boxes["a"], keys=keys, **{"processing:version": version})
        server.items["s2"].append(new)
    server.items["s1"] = [stac_files.item("radar", f"{cogs}/a", server.boxes["a"])]
    wanted = Wanted(server.boxes["a"], JUNE)
    address = f"{server.address}/api/collections/s2"
    found = find_scenes(address, optical, tmp_path / "inputs", wanted=wanted)
    touching = [scene.id for scene in found]
    assert {"S2_a", "late_1", "late_2"} <= set(touching) <= {"S2_a", "S2_b", "late_1", "late_2"}
    asked = [json.loads(body) for _, path, body in server.requests if path == "/api/search"]
    assert asked[0]["collections"] == ["s2"]
    assert asked[0]["datetime"] == "2021-06-01T00:00:00Z/2021-06-30T23:59:59Z"
    assert asked[0]["bbox"] == list(server.boxes["a"])
    assert len(asked) == 2
    entries, refused = open_all(found, optical)
    assert not refused
    same_as(next(e for e in entries if e.id == "late_1"), "a", raw, optical, tmp_path)
    server.items["s2"].clear()
    assert [s.id for s in find_scenes(address, optical, tmp_path / "inputs", wanted=wanted)] == touching
    with pytest.raises(InputError, match="no scene for the wanted"):
        find_scenes(address, optical, tmp_path / "others", wanted=wanted)


def test_an_api_that_falters_is_asked_again(server, optical, tmp_path):
    server.faults |= {"/api/search": [503, "reset"], "/api/collections/s2": [502]}
    found = find_scenes(
        f"{server.address}/api/collections/s2", optical, tmp_path, wanted=Wanted(server.boxes["a"], JUNE)
    )
    assert "S2_a" in [scene.id for scene in found]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/api", "STAC API of several collections .s2.: give the address of one, such as http.*/api/collections/s2"),
        ("/api/collections/s2", r"searched by ground and time: give both .jointseg predict: --aoi=FILE --period="),
        ("/api/collections/none", "none does not exist .HTTP 404."),
        ("/stac/none.json?signature=abc", "none.json does not exist .HTTP 404."),
        ("/cogs/S2A_MSIL2A.SAFE", "products are read from disk alone"),
        ("/cogs/readme", "readme cannot be read as JSON"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(server, optical, tmp_path, place, message):
    (server.folder / "cogs" / "readme").write_text("<html>")
    with pytest.raises(InputError, match=message) as caught:
        find_scenes(f"{server.address}{place}", optical, tmp_path)
    assert "signature" not in str(caught.value)


def test_an_item_whose_file_is_gone_is_refused_alone(server, optical, tmp_path):
    (server.folder / "cogs" / "b" / "B11.tif").unlink()
    entries, refused = open_all(
        find_scenes(f"{server.address}/stac/catalog.json", optical, tmp_path / "inputs"), optical
    )
    assert [e.id for e in entries] == ["S2_a"]
    assert "cogs/b/B11.tif does not exist (HTTP 404)" in refused[0].reason


def test_a_raster_by_its_address(server, raw, optical, tmp_path):
    first = optical.replace(modalities=optical.modalities[:1])
    (server.folder / "s2.tif").write_bytes((raw / "a" / "s2.tif").read_bytes())
    address = f"{server.address}/s2.tif?signature=abc"
    assert is_single(address, first)
    (entry,), refused = open_all(find_scenes(address, first, tmp_path), first)
    assert not refused
    assert entry.id == "s2"
    same_as(entry, "a", raw, first, tmp_path)
    assert all("signature" not in path for path, *_ in entry.stamps)
    with pytest.raises(InputError, match="one raster, but the network was trained on"):
        find_scenes(address, optical, tmp_path)[0].files()


def test_the_offset_that_raster_bands_record_counts_last(server, raw, optical, tmp_path):
    """Of one collection of Earth Search it is wrong, and boa_offset_applied right."""
    path = tmp_path / "items.json"
    records = server.items["s2"][:2]
    for record in records:
        for asset in record["assets"].values():
            asset["raster:bands"] = [{"scale": 0.0001, "offset": -0.1, "nodata": 0}]
    del records[0]["properties"]["s2:processing_baseline"]
    records[1]["properties"]["earthsearch:boa_offset_applied"] = True
    stac_files.write_cogs(
        raw / "b", server.folder / "cogs" / "b", change=lambda band, dn: dn if band == "SCL" else dn - 1000 * (dn > 0)
    )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": records}))
    entries, refused = open_all(find_scenes(path, optical, tmp_path / "inputs"), optical)
    assert not refused
    assert "offset -1000 (raster:bands give the offset -1000)" in entries[0].decisions["radiometry_s2"]
    assert "offset 0 (boa_offset_applied is True)" in entries[1].decisions["radiometry_s2"]
    for entry, site in zip(entries, "ab", strict=True):
        same_as(entry, site, raw, optical, tmp_path)
