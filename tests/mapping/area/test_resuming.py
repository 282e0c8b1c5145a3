"""A product goes on where it stopped, with the same bits however it is made."""

import dataclasses
import shutil

import areas_of_interest
import pytest
import shapely
from mapped_areas import LEFT, SETTINGS, TOP, ignore, make_product, tile_checksums

from jointseg_jax.errors import Unfinished
from jointseg_jax.geo.utm_zones import to_degrees
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.mapping.predictor import halo as halos
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import read_json
from jointseg_jax.storage.folders import MARKER
from jointseg_jax.training.trained import load_trained


def test_a_second_run_does_nothing_and_says_so(mapped_area, network, scenes, area, tmp_path):
    folder = tmp_path / "product"
    shutil.copytree(mapped_area[0], folder)
    before = {p: p.stat().st_mtime_ns for p in (folder / "tiles").rglob("*.tif")}
    lines = []
    make_product(network, scenes, area, folder, say=lines.append)
    assert {p: p.stat().st_mtime_ns for p in (folder / "tiles").rglob("*.tif")} == before
    assert any("tiles that were done before" in line for line in lines)
    assert any("on one worker" in line for line in lines)  # a rate is known by now


def test_what_was_lost_is_made_again_with_the_same_bits(mapped_area, network, scenes, area, tmp_path):
    folder = tmp_path / "product"
    shutil.copytree(mapped_area[0], folder)
    expected = tile_checksums(folder)
    victims = sorted(expected)[:7:3]
    (folder / victims[0]).unlink()
    (folder / victims[1]).write_bytes(b"short")
    row = sorted((folder / "ledger").glob("*.json"))[-1]
    row.write_text(row.read_text().replace("1", "2", 1))
    make_product(network, scenes, area, folder)
    assert tile_checksums(folder) == expected


def test_a_product_goes_on_with_the_halo_it_was_begun_with(mapped_area, network, scenes, area, tmp_path):
    """Whatever is measured, or lost, beside the checkpoint after its first tile is done."""
    folder, begun, _ = mapped_area
    shutil.copytree(network.workdir, tmp_path / "run")
    shutil.copytree(folder, tmp_path / "product")
    moved = load_trained(tmp_path / "run")
    for path in moved.workdir.glob("halo*.json"):
        record = formats.read_record(path, formats.HALO)
        formats.write_record(path, record | {"halo": 13, "errors": {"13": 0.0}}, formats.HALO)
    sorted((tmp_path / "product" / "ledger").glob("*.json"))[0].unlink()
    plan = make_product(moved, scenes, area, tmp_path / "product")
    assert plan.settings.halo == begun.settings.halo
    assert tile_checksums(tmp_path / "product") == tile_checksums(folder)
    card = read_json(tmp_path / "product" / "model.json")
    assert card["properties"]["mlm:hyperparameters"]["halo"] == begun.settings.halo
    assert plan_area(moved, scenes, area, tmp_path / "new", SETTINGS, say=ignore).settings.halo == 13


def test_the_halo_is_measured_where_it_can_be(network, scenes, area, tmp_path, monkeypatch):
    """The largest scene may be too flat to measure on; what is known of another checkpoint says nothing."""
    fresh = dataclasses.replace(network, workdir=tmp_path)
    asked = []

    def measure(_, scene, *__):
        asked.append(scene.name)
        return halos.HaloMeasurement(7, {"7": 0.0}, 48, met=True) if len(asked) in (1, 3) else None

    monkeypatch.setattr(halos, "measure", measure)
    halos.halo_for(
        dataclasses.replace(fresh, step=5), open_scene(scenes / "early_20210601", network.meta.contract).scene
    )
    plan = plan_area(fresh, scenes, area, tmp_path / "out", SETTINGS, say=ignore)
    assert plan.settings.halo == 7
    assert len(set(asked[1:])) == 2


@pytest.mark.slow
def test_shards_make_the_same_bits_and_the_last_writes_records(mapped_area, network, scenes, area, tmp_path):
    lines = []
    for i in (1, 0):
        make_product(network, scenes, area, tmp_path / "product", Serial((i, 2)), say=lines.append)
        assert (tmp_path / "product" / "collection.json").exists() == (i == 0)
    assert tile_checksums(tmp_path / "product") == tile_checksums(mapped_area[0])
    assert any("the last shard writes the records" in line for line in lines)


def test_any_shard_writes_records_that_none_has_written(mapped_area, network, scenes, area, tmp_path):
    """On a network disk the last two may each miss the other's newest row; the line that they say tells what to do."""
    shutil.copytree(mapped_area[0], tmp_path / "product")
    (tmp_path / "product" / "collection.json").unlink()
    hidden = sorted((tmp_path / "product" / "ledger").glob("*.json"))[0]
    row = hidden.read_bytes()
    other = 1 - sorted(mapped_area[1].units).index(hidden.stem) % 2
    lines = []
    hidden.unlink()
    make_product(network, scenes, area, tmp_path / "product", Serial((other, 2)), say=lines.append)
    assert any("run any shard again once all are done" in line for line in lines)
    assert not (tmp_path / "product" / "collection.json").exists()
    hidden.write_bytes(row)
    make_product(network, scenes, area, tmp_path / "product", Serial((other, 2)))
    assert (tmp_path / "product" / "collection.json").exists()


@pytest.mark.slow
def test_a_scene_that_breaks_while_mapping_sets_its_tiles_aside(network, scenes, area, tmp_path):
    """The others are finished; when the file is back, so are these, and nothing else is done again."""
    shutil.copytree(scenes, tmp_path / "in")
    elsewhere = shapely.box(LEFT + 1850, TOP - 100, LEFT + 1950, TOP - 20)
    area = shapely.union(area, to_degrees(elsewhere, areas_of_interest.ZONE))
    plan = plan_area(network, tmp_path / "in", area, tmp_path / "out", SETTINGS, say=ignore)
    victim = tmp_path / "in" / "far_20210601" / "s2.tif"
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(Unfinished, match=r"s2\.tif"):
        map_area(network, plan, tmp_path / "out", Serial(), say=ignore)
    done = Ledger(tmp_path / "out" / "ledger", say=ignore).done()
    assert 0 < len(done) < len(plan.units)
    victim.write_bytes(whole)
    plan = plan_area(network, tmp_path / "in", area, tmp_path / "out", SETTINGS, say=ignore)
    map_area(network, plan, tmp_path / "out", Serial(), say=ignore)
    after = Ledger(tmp_path / "out" / "ledger", say=ignore).done()
    assert len(after) == len(plan.units)
    assert all(after[unit] == row for unit, row in done.items())


def test_a_product_of_before_folders_were_marked_goes_on(mapped_area, network, scenes, area, tmp_path):
    folder, _, _ = mapped_area
    shutil.copytree(folder, tmp_path / "product")
    (tmp_path / "product" / MARKER).unlink()
    for style in [*(tmp_path / "product" / "mosaics").glob("*.qml"), tmp_path / "product" / "product.qgs"]:
        style.unlink()  # products of that time had none
    (tmp_path / "product" / "items" / "mine.json").write_text("mine")
    lines: list[str] = []
    make_product(network, scenes, area, tmp_path / "product", say=lines.append)
    assert any("tiles that were done before" in line for line in lines)
    assert (tmp_path / "product" / "items" / "mine.json").read_text() == "mine"
