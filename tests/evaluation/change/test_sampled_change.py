"""A sample of decoded change: its strata, its answers from known labels, and its estimates by region."""

import csv
import json

import geopandas
import numpy as np
import pytest
import shapely
from dated_ground import LABELS, write_states
from known_ground import make_product

from jointseg_jax.commands import estimate, sample
from jointseg_jax.evaluation.change import known_answers
from jointseg_jax.evaluation.change.decoded import read_states
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.evaluation.change.places import places_of, truth_of
from jointseg_jax.rasters.reader import Handles

KINDS = Kinds(LABELS)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory):
    """A product of two tiles, and decoded states of its ground; returns both and the states by tile."""
    root = tmp_path_factory.mktemp("monitored")
    make_product(root / "product", (0.1, 0.3))
    rng, found = np.random.default_rng(0), {}
    for number in range(2):
        codes = rng.choice(
            ["0000", "0001", "0011", "1100", "1011", "1111"], (30, 40), p=[0.5, 0.1, 0.05, 0.05, 0.05, 0.25]
        )
        states = np.array([[[int(c) for c in code] for code in row] for row in codes], np.uint8)
        states = np.moveaxis(states, -1, 0).repeat(10, 1).repeat(10, 2)
        states[:, :40, :50] = 255
        name = f"50N_{number:04d}_0340"
        write_states(root / "change" / "tiles" / "50N" / name, 32650, 500_000 + 1000 * number, 3_400_000, states)
        found[name] = states
    ground = [shapely.box(500_000 + 1000 * n, 3_399_700, 500_400 + 1000 * n, 3_400_000) for n in range(2)]
    regions = geopandas.GeoDataFrame({"region": ["west", "east"]}, geometry=ground, crs=32650)
    regions.to_file(root / "regions.gpkg")
    return root, found


def test_states_are_read_over_any_ground(monitored):
    root, found = monitored
    states = read_states(root / "change")
    assert states.kinds == KINDS
    handles = Handles()
    west, east = found.values()
    inside = states.read(32650, (500_100, 3_399_800, 500_150, 3_399_900), handles)
    np.testing.assert_array_equal(inside, west[:, 100:200, 100:150])
    across = states.read(32650, (500_350, 3_399_900, 501_020, 3_399_950), handles)
    np.testing.assert_array_equal(across[..., :50], west[:, 50:100, 350:])
    np.testing.assert_array_equal(across[..., -20:], east[:, 50:100, :20])
    assert (across[..., 50:-20] == 255).all()
    assert (states.read(32651, (500_100, 3_399_800, 500_150, 3_399_900), handles) == 255).all()
    strips = {(t.path, w.row): s for t, w, s in states.windows(handles)}
    np.testing.assert_array_equal(strips[states.tiles[0].path, 0], west)


def test_strata_are_kinds_of_change_by_region_and_their_areas_are_the_pixels(monitored, tmp_path, capsys):
    root, found = monitored
    design = tmp_path / "design"
    flags = ["--points=400", "--minimum=10", "--buffer=10", f"--polygons={root / 'regions.gpkg'}", "--name=region"]
    given = [f"--product={root / 'product'}", f"--change={root / 'change'}", f"--output={design}", "--no-page", *flags]
    assert sample.main(given) == 0, capsys.readouterr().err
    strata = {s["name"]: s for s in json.loads((design / "design.json").read_text())["strata"]}
    for region, states in zip(("west", "east"), found.values(), strict=True):
        kind = KINDS.of(states)
        for number, name in enumerate(KINDS.names[1:], 1):
            pixels = (kind == number).sum()
            if pixels:
                assert strata[f"{region}: {name}"]["size"] == pytest.approx(pixels, rel=2e-3)
        both = strata[f"{region}: stable pervious"]["size"] + strata[f"{region}: stable pervious within 10 m"]["size"]
        assert both == pytest.approx((kind == 0).sum(), rel=2e-3)
    rows = list(csv.DictReader((design / "sample.csv").read_text().splitlines()))
    # An interpreter who agrees with the map everywhere.
    answers = tmp_path / "answers.csv"
    answers.write_text("id,class\n" + "".join(f"{r['id']},{r['map_class']}\n" for r in rows))
    out = tmp_path / "estimates.json"
    assert estimate.main([f"--design={design}", f"--answers={answers}", f"--json={out}"]) == 0
    record = json.loads(out.read_text())
    assert set(record["parts"]) == {"west", "east"}
    for region, states in zip(("west", "east"), found.values(), strict=True):
        part = record["parts"][region]
        gain = part["area"]["gain 2021 to 2023"]
        assert gain["value"] == pytest.approx((KINDS.of(states) == 3).sum(), rel=2e-3)
        assert gain["low"] <= gain["value"] <= gain["high"]
        assert part["area_total"] == pytest.approx((KINDS.of(states) != 255).sum(), rel=2e-3)
    total = sum(part["area"]["loss"]["value"] for part in record["parts"].values())
    assert total == pytest.approx(record["area"]["loss"]["value"])


def test_estimates_of_a_part_are_those_of_its_points_alone(monitored, tmp_path):
    """With an interpreter who differs: the share of a part by hand, from its strata and their points."""
    root, _ = monitored
    design = tmp_path / "design"
    given = [f"--product={root / 'product'}", f"--change={root / 'change'}", f"--output={design}", "--no-page"]
    assert (
        sample.main([*given, "--points=300", "--minimum=10", f"--polygons={root / 'regions.gpkg'}", "--name=region"])
        == 0
    )
    rows = list(csv.DictReader((design / "sample.csv").read_text().splitlines()))
    said = {r["id"]: r["map_class"] if n % 5 else "loss" for n, r in enumerate(rows)}
    answers, out = tmp_path / "answers.csv", tmp_path / "estimates.json"
    answers.write_text("id,class\n" + "".join(f"{key},{name}\n" for key, name in said.items()))
    assert estimate.main([f"--design={design}", f"--answers={answers}", f"--json={out}"]) == 0
    own = [r for r in rows if r["stratum"].startswith("west: ")]
    by_hand = sum(float(r["weight"]) for r in own if said[r["id"]] == "loss")
    assert json.loads(out.read_text())["parts"]["west"]["area"]["loss"]["value"] == pytest.approx(by_hand)


def test_two_maps_of_change_are_refused(monitored, tmp_path, capsys):
    root, _ = monitored
    flags = [f"--earlier={root / 'product'}", f"--change={root / 'change'}", f"--output={tmp_path / 'design'}"]
    assert sample.main([f"--product={root / 'product'}", *flags]) != 0
    assert "choose one" in capsys.readouterr().err


def test_a_folder_without_decoded_tiles_is_one_sentence(monitored, tmp_path, capsys):
    root, _ = monitored
    assert (
        sample.main([f"--product={root / 'product'}", f"--change={tmp_path}", f"--output={tmp_path / 'design'}"]) != 0
    )
    assert "give the --output of `jointseg monitor`" in capsys.readouterr().err


def test_places_know_their_ground_in_all_years(dated):
    data, site, states = dated
    (place,) = places_of(data, "test", LABELS)
    assert [s.name for s in place.sites] == [f"{site.name}-{label}" for label in LABELS]
    strips = list(truth_of(data, place, Handles()))
    np.testing.assert_array_equal(np.concatenate([s for _, s in strips], 1), states)
    assert strips[0][0][3] == site.top


def test_known_labels_answer_the_points_of_a_sample(dated, tmp_path):
    """Points of all kinds, on the ground of the place and off it."""
    from jointseg_jax.evaluation.accuracy.design import Design, Row, Stratum

    data, site, states = dated
    rng, kind = np.random.default_rng(1), KINDS.of(states)
    at = np.stack([rng.integers(n, size=60) for n in kind.shape], 1)
    rows = [
        Row(f"{i:02d}", str(i), "all", 32650, site.left + c + 0.5, site.top - r - 0.5, 0, 0, "loss", ())
        for i, (r, c) in enumerate(at.tolist())
    ]
    rows.append(Row("99", "99", "all", 32650, site.left - 10.5, site.top, 0, 0, "loss", ()))
    stratum = Stratum("all", 1.0, len(rows), KINDS.names)
    mapped = (1.0, *(0.0 for _ in KINDS.names[1:]))
    design = Design("f", "t", "points", KINDS.names, (stratum,), mapped, 1.0, 0, 0, None, "")
    found = known_answers.answered(design, rows, data, "test")
    assert found == {r.id: KINDS.names[kind[tuple(p)]] for r, p in zip(rows, at.tolist(), strict=False)}
    assert known_answers.kinds_of(design) == KINDS
