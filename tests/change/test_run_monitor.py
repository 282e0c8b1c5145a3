"""A monitor from maps to records: what it finds, and how it goes on after it was stopped or its files were harmed."""

import dataclasses
import shutil
import subprocess

import harness
import numpy as np
import pytest
import rasterio
import shapely
import year_products
from mapping.stac_schemas import check_stac
from scipy import ndimage
from year_products import EPSG, LEFT, SETTINGS, TOP, YEARS, copied

from jointseg_jax.change.figures import say_classes
from jointseg_jax.change.monitor_record import Settings
from jointseg_jax.change.read_monitor import read_monitor
from jointseg_jax.change.run_monitor import run_monitor
from jointseg_jax.errors import InputError, Interrupted, StorageError, Unfinished
from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.storage.files import read_json, sha256

# Nothing is estimated, which takes longer than all else.
GIVEN = Settings(0, prior=0.5, sharpness=1.0, gain=0.01, loss=0.001, doubt=False)


def ignore(_):
    """Takes a line of a report, and drops it."""


def run(years, folder, settings=None, executor=None, **more):
    run_monitor(years, folder, settings or SETTINGS, executor or Serial(), say=ignore, **more)
    return folder


def bits(folder):
    return {str(p.relative_to(folder)): sha256(p) for p in sorted((folder / "tiles").rglob("*.tif"))}


def mosaic(folder, layer, band=1):
    """A layer of both tiles."""
    parts = []
    for name in sorted(p.parent.name for p in folder.rglob(f"{layer}.tif")):
        with rasterio.open(next(folder.rglob(f"{name}/{layer}.tif"))) as raster:
            parts.append(raster.read(band))
    return np.concatenate(parts, 1)


def test_what_was_built_when(monitor, states):
    """The states are the true ones but at edges, also of the year that was moved; raw maps flicker there."""
    folder, lines = monitor
    for band, state in enumerate(states, start=1):
        wrong = (mosaic(folder, "states", band) != state).mean()
        assert wrong < 0.006, (band, wrong)
    index = np.where((states[3] == 1) & (states[0] == 0), np.argmax(states, 0), 0)
    found = mosaic(folder, "year_of_change")
    inside = ndimage.binary_erosion(index > 0, iterations=2)
    assert (found[inside] == index[inside]).mean() > 0.93
    assert (found[index == 0] > 0).mean() < 0.002
    metrics = read_json(folder / "metrics.json")
    assert metrics["flicker"]["decoded"] < 0.1 * metrics["flicker"]["raw"]
    true = states.mean((1, 2)) * metrics["regions"]["all"]["valid_km2"]
    np.testing.assert_allclose(metrics["regions"]["all"]["impervious_km2"], true, rtol=0.05)
    assert any(line.startswith("flicker") for line in lines)


def test_shares_that_are_assumed_are_said_and_given_ones_are_not(monitor):
    folder, _ = monitor
    found = read_monitor(folder).monitor
    assert not any(rates.assumed for rates in found.classes)
    first = next(k for k, rates in enumerate(found.classes) if rates.pixels)
    classes = [dataclasses.replace(rates, gain=0.01, loss=0.002) for rates in found.classes]
    said = []
    say_classes(dataclasses.replace(found, classes=tuple(classes)), said.append)
    assert not any("assumed" in line or line.startswith("warning") for line in said)
    classes[first] = dataclasses.replace(classes[first], assumed=("gain", "loss"))
    said.clear()
    say_classes(dataclasses.replace(found, classes=tuple(classes)), said.append)
    assert sum("; gain and loss assumed, because more than 5 % a year was estimated" in line for line in said) == 1
    assert said[-1].startswith(f"warning in 1 of {len(classes)} classes of ground")


def test_the_shifted_year_is_moved_back(monitor):
    rows = read_monitor(monitor[0]).tiles.values()
    for row in rows:
        lies = row.lies["2021"]
        assert abs(lies["down"] + 3) < 1
        assert abs(lies["right"] - 4) < 1
        assert any(lies["moved"])
        assert lies["residual"] < 1.5
        assert row.lies["2019"]["moved"] == [0, 0]


def test_the_files_say_what_they_hold(monitor):
    folder, _ = monitor
    with rasterio.open(next(folder.rglob("year_of_change.tif"))) as raster:
        assert raster.nodata == 255
        assert raster.tags()["CLASSES"].startswith("0 never; 1 changed between 2017 and 2019")
        assert len({raster.colormap(1)[k] for k in range(4)}) == 4
    with rasterio.open(next(folder.rglob("states.tif"))) as raster:
        assert raster.descriptions == YEARS
    confidence = mosaic(folder, "change_confidence")
    assert np.median(confidence) > 190
    assert mosaic(folder, "change_count").max() <= 3000


def test_the_records_are_valid_and_span_the_years(monitor):
    folder, _ = monitor
    items = sorted((folder / "items").glob("*.json"))
    for path in (folder / "collection.json", *items):
        check_stac(read_json(path))
    item = read_json(items[0])
    assert item["properties"]["start_datetime"].startswith("2017-06-01")
    assert item["properties"]["end_datetime"].startswith("2023-06-01")
    assert item["properties"]["datetime"] is None
    assert set(item["assets"]) == {"year_of_change", "states", "change_confidence", "change_count"}
    jumps = read_json(folder / "metrics.json")["jumps"]["2019"]["pervious"]
    most = read_json(folder / "items" / f"{jumps['most']['tile']}.json")["properties"]["jointseg:jumps"]
    assert most["2019"]["pervious"]["probability"] == jumps["most"]["probability"]
    assert abs(jumps["most"]["probability"]) >= abs(jumps["probability"]) - 1e-4


@pytest.mark.slow
def test_what_was_lost_is_decoded_again_with_the_same_bits(monitor, years, tmp_path):
    """Also by shards, of which the first must wait for the other's measurements."""
    shutil.copytree(monitor[0], tmp_path / "out")
    expected = bits(monitor[0])
    victims = sorted((tmp_path / "out").rglob("states.tif"))
    victims[0].unlink()
    victims[1].write_bytes(b"short")
    run(years, tmp_path / "out")
    assert bits(tmp_path / "out") == expected
    with pytest.raises(Interrupted, match="1 of 2 tiles are not measured yet"):
        run(years, tmp_path / "shards", executor=Serial((0, 2)))
    for i in (1, 0):
        run(years, tmp_path / "shards", executor=Serial((i, 2)))
    assert bits(tmp_path / "shards") == expected
    assert (tmp_path / "shards" / "collection.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_processes_of_dask_decode_the_same_bits(monitor, years, tmp_path):
    assert bits(run(years, tmp_path / "out", executor=Dask(2))) == bits(monitor[0])


def test_a_damaged_map_sets_its_tile_aside(monitor, years, tmp_path):
    """The other is decoded; when the file is back, so is this one."""
    own = copied(years, tmp_path / "in")
    victim = sorted(own["2019"].rglob("probability.tif"))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unfinished, match=r"probability\.tif has .* bytes, but its ledger says .* --check"):
        run(own, tmp_path / "out", GIVEN)
    assert len(list((tmp_path / "out" / "tiles").rglob("states.tif"))) == 1
    victim.write_bytes(whole)
    run(own, tmp_path / "out", GIVEN)
    assert len(list((tmp_path / "out" / "tiles").rglob("states.tif"))) == 2


def test_a_full_disk_ends_the_run_and_the_next_goes_on(monitor, years, tmp_path):
    with harness.small_disk(tmp_path / "disk", 2) as disk:
        shutil.copytree(monitor[0], disk / "out", ignore=shutil.ignore_patterns("tiles", "ledger"))
        shutil.copytree(monitor[0] / "inputs", disk / "out" / "inputs", dirs_exist_ok=True)
        filler = harness.fill(disk, leave=40_000)
        with pytest.raises(StorageError, match=r"cannot be written .*run the same command again"):
            run(years, disk / "out")
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        run(years, disk / "out")
        assert bits(disk / "out") == bits(monitor[0])


def test_maps_that_differ_are_refused_or_recorded(years, tmp_path):
    own = copied(years, tmp_path / "in")
    probabilities = np.full((year_products.HIGH, year_products.WIDE), 0.2, np.float32)
    shutil.rmtree(own["2019"])
    settings = year_products.with_settings(radiometry="harmonise")
    year_products.write_year(own["2019"], "2019", probabilities, settings=settings)
    pair = {"2017": own["2017"], "2019": own["2019"]}
    with pytest.raises(InputError, match=r"2019 was mapped with radiometry harmonise, 2017 with contract.*--mixed"):
        run(pair, tmp_path / "out", GIVEN)
    run(pair, tmp_path / "out", GIVEN, mixed=True)
    assert "harmonise" in read_monitor(tmp_path / "out").monitor.differences[0]
    year_products.write_year(tmp_path / "wide", "2019", probabilities, settings=year_products.with_settings(grid=1280))
    with pytest.raises(InputError, match=r"sides of 640 m \(2017\), 1280 m \(2019\): .*--grid"):
        run({**pair, "2019": tmp_path / "wide"}, tmp_path / "other", GIVEN, mixed=True)
    other = {**pair, "2019": own["2021"]}
    with pytest.raises(InputError, match="made of other maps"):
        run(other, tmp_path / "out", GIVEN)


def test_missing_tiles_and_inputs_are_said(years, tmp_path):
    """A tile without a map on one date is decoded from the others; without its input a date stays where it is."""
    own = {"2017": years["2017"], "2021": tmp_path / "2021"}
    p = np.full((year_products.HIGH, year_products.WIDE), 0.02, np.float32)
    year_products.write_year(own["2021"], "2021", p, leave_out=(0,))
    (tmp_path / "scene-2021.tif").unlink()
    with pytest.raises(InputError, match=r"1 of the 2 tiles .*2021.* --skip_missing"):
        run(own, tmp_path / "out", GIVEN)
    lines = []
    run_monitor(own, tmp_path / "out", GIVEN, Serial(), skip_missing=True, say=lines.append)
    rows = read_monitor(tmp_path / "out").tiles
    assert [row.missing for row in rows.values()] == [("2021",), ()]
    assert any("2021: not moved" in line and "not reachable" in line for line in lines)
    assert all(row.lies["2021"]["moved"] == [0, 0] for row in rows.values())


@pytest.mark.slow
def test_regions_have_transitions_and_areas_of_their_own(years, tmp_path):
    west = shapely.box(LEFT, TOP - year_products.HIGH, LEFT + 300.5, TOP)
    regions = {"west": to_degrees(west, zone_of_epsg(EPSG))}
    pair = {label: years[label] for label in ("2017", "2023")}
    run(pair, tmp_path / "out", regions=regions)
    monitor = read_monitor(tmp_path / "out").monitor
    assert {c.region for c in monitor.classes} == {"", "west"}
    assert all(c.pixels > 0 for c in monitor.classes if c.sampled)
    found = read_json(tmp_path / "out" / "metrics.json")["regions"]
    assert found["west"]["valid_km2"] == pytest.approx(0.3005 * 0.64, rel=4e-3)


@pytest.mark.slow
def test_maps_of_single_scenes_are_decoded_too(states, years, tmp_path):
    """Their squares are those of the area's grid; their inputs are not recorded."""
    probabilities = year_products.readings(states)
    own = {"2017": years["2017"], "2023": year_products.write_scene_map(tmp_path / "2023", probabilities[3])}
    run(own, tmp_path / "out")
    rows = read_monitor(tmp_path / "out").tiles
    assert len(rows) == 2
    assert all("not record where its input lies" in row.lies["2023"]["note"] for row in rows.values())
    assert (mosaic(tmp_path / "out", "states", 2) != states[3]).mean() < 0.01
