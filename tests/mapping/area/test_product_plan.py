"""A product keeps one plan: others, damaged ones and scenes that break the contract are refused."""

import dataclasses
import json
import re
import shutil

import pytest
import shapely
from mapped_areas import SETTINGS, ignore, make_product

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import read_json
from jointseg_jax.storage.locks import exclusive


@pytest.mark.slow
def test_another_plan_on_the_same_product_is_refused(mapped_area, network, scenes, area, tmp_path):
    folder, _, _ = mapped_area
    smaller = shapely.affinity.scale(area, 0.8, 0.8)
    for changed, message in (
        ({"area": smaller}, "another area of interest or grid"),
        ({"settings": dataclasses.replace(SETTINGS, grid=220)}, "another area of interest or grid"),
        ({"settings": dataclasses.replace(SETTINGS, image=True)}, "other settings"),
        ({"network": dataclasses.replace(network, step=5)}, "another network"),
    ):
        given = {"network": network, "scenes": scenes, "area": area, "folder": folder, **changed}
        with pytest.raises(InputError, match=message):
            make_product(**given)
    fewer = tmp_path / "fewer"
    shutil.copytree(scenes / "early_20210601", fewer / "early_20210601")
    with pytest.raises(InputError, match="other scenes"):
        make_product(network, fewer, area, folder)
    assert read_json(folder / "plan.geojson")["jointseg"]["settings"]["grid"] == 200


def test_a_plan_of_which_nothing_is_done_is_replaced(network, scenes, area, tmp_path):
    """Looking at plans with other grids is free, but not under a run that holds the product."""
    for grid in (200, 400):
        plan_area(network, scenes, area, tmp_path / "out", dataclasses.replace(SETTINGS, grid=grid), say=ignore)
        assert read_json(tmp_path / "out" / "plan.geojson")["jointseg"]["settings"]["grid"] == grid
    with exclusive(tmp_path / "out" / "ledger", "run"), pytest.raises(InputError, match="in use by another run"):
        plan_area(network, scenes, area, tmp_path / "out", SETTINGS, say=ignore)


def test_refused_scenes_stop_or_are_left_out_on_request(network, scenes, area, tmp_path):
    shutil.copytree(scenes, tmp_path / "in")
    (tmp_path / "in" / "far_20210601" / "s1.tif").unlink()
    lines = []
    with pytest.raises(InputError, match=r"1 of the 3 scenes .* --skip_refused"):
        plan_area(network, tmp_path / "in", area, tmp_path / "out", SETTINGS, say=lines.append)
    assert any("refused scene far_20210601" in line and "s1" in line for line in lines)
    plan = plan_area(network, tmp_path / "in", area, tmp_path / "out", SETTINGS, skip_refused=True, say=ignore)
    assert plan.about["refused"][0]["id"] == "far_20210601"


def test_an_area_without_scenes_is_one_sentence(network, scenes, tmp_path):
    with pytest.raises(InputError, match=r"no scene of .* UTM zone 49N: .*; the scenes .in degrees. are .*EPSG:32650"):
        plan_area(network, scenes, shapely.box(111, 30, 111.1, 30.1), tmp_path / "out", SETTINGS, say=ignore)
    assert not (tmp_path / "out" / "plan.geojson").exists()


def test_a_damaged_plan_is_one_sentence(network, mapped_area, tmp_path):
    for text in ("", "{", "{}", "[]", '{"jointseg": {"version": 9}, "features": []}'):
        (tmp_path / product_plan.PLAN).write_text(text)
        with pytest.raises(formats.Damaged, match=r"plan\.geojson is damaged \(.*\): remove it"):
            product_plan.load(tmp_path, network.meta.contract)


@pytest.mark.parametrize("name", [product_plan.PLAN, product_plan.CATALOGUE])
def test_plans_that_were_changed_are_told_from_newer_ones(network, mapped_area, tmp_path, name):
    """A digit of a tile's place or of a scene; and version 1, which had no checksums, is read."""
    contract = network.meta.contract
    for part in (product_plan.PLAN, product_plan.CATALOGUE):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        shutil.copy(mapped_area[0] / part, tmp_path / part)
    path = tmp_path / name
    whole = path.read_text()
    *_, digit = re.finditer(r"(?<=[ \[])[1-7](?=[\d.,\]])", whole)  # the first one of a number
    path.write_text(whole[: digit.start()] + str(int(digit[0]) + 1) + whole[digit.end() :])
    with pytest.raises(formats.Damaged, match=name):
        product_plan.load(tmp_path, contract)
    record = json.loads(whole)
    about = record["jointseg"] if name == product_plan.PLAN else record
    kind = formats.PLAN if name == product_plan.PLAN else formats.CATALOGUE
    old = formats.unseal(about, kind, path)
    old.pop("features_sha256", None)
    newer = formats.seal(old, dataclasses.replace(kind, version=9))
    for said in (old, newer):
        path.write_text(json.dumps({**record, "jointseg": said} if name == product_plan.PLAN else said))
        if said is old:
            assert (
                product_plan.load(tmp_path, contract)[0].tiles == product_plan.load(mapped_area[0], contract)[0].tiles
            )
        else:
            with pytest.raises(formats.Newer, match=rf"{name} was written by jointseg-jax .* format 9"):
                product_plan.load(tmp_path, contract)


def test_a_folder_of_others_is_no_product(network, scenes, area, tmp_path):
    """Records, mosaics and documents of others were removed and replaced."""
    names = ("items/a.json", "sources/a.json", "mosaics/a.vrt", "collection.json", "index.geojson", "model.json")
    for name in names:
        path = tmp_path / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    with pytest.raises(InputError, match=r"contains collection.json, index.geojson, items and 3 more but no MADE_BY"):
        plan_area(network, scenes, area, tmp_path / "other", SETTINGS, say=ignore)
    assert {f.relative_to(tmp_path / "other").as_posix() for f in tmp_path.rglob("*") if f.is_file()} == set(names)
    for folder in (scenes, scenes / "early_20210601"):
        with pytest.raises(InputError, match=r"is an input|but no MADE_BY"):
            plan_area(network, scenes, area, folder, SETTINGS, say=ignore)
    with pytest.raises(InputError, match="lies in"):
        plan_area(network, scenes, area, scenes.parent, SETTINGS, say=ignore)
