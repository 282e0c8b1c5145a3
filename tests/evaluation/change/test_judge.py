"""From the maps of four years to decoded states, scores against known labels, a report and a page."""

import json

import geopandas
import numpy as np
import pytest
import shapely
from browser import browser
from dated_ground import LABELS, true_states, write_map

from jointseg_jax.change.monitor_record import Settings
from jointseg_jax.change.run_monitor import run_monitor
from jointseg_jax.commands import growth
from jointseg_jax.evaluation.change.decoded import read_states
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.evaluation.change.scores import ChangeCounts
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.rasters.reader import Handles

KINDS = Kinds(LABELS)


@pytest.fixture(scope="module")
def monitored(dated, tmp_path_factory):
    """Maps of the test site that are wrong at single pixels in single years, decoded; and those maps."""
    _, site, states = dated
    root, rng = tmp_path_factory.mktemp("judged"), np.random.default_rng(0)
    wrong = rng.random(states.shape) < 0.03
    maps = np.where(states ^ wrong, 0.8, 0.2).astype(np.float32)
    maps[1, :40, :40] = np.nan  # a cloud
    folders = {}
    for label, probabilities in zip(LABELS, maps, strict=True):
        folders[label] = write_map(root / label, site.left, site.top, probabilities)
    settings = Settings(0, gain=0.01, loss=0.003, register=False, doubt=False)
    run_monitor(folders, root / "monitor", settings, Serial(), say=lambda line: None)
    height, width = states.shape[1:]
    middle = site.left + width // 2
    boxes = [(site.left, middle), (middle, site.left + width)]
    ground = [shapely.box(a, site.top - height, b, site.top) for a, b in boxes]
    regions = geopandas.GeoDataFrame({"region": ["west", "east"]}, geometry=ground, crs=32650)
    regions.to_file(root / "regions.gpkg")
    return root, maps


def test_scores_are_those_of_the_rasters(dated, monitored, tmp_path, capsys):
    data, site, states = dated
    root, maps = monitored
    given = [f"--monitor={root / 'monitor'}", f"--dataset={data.root}", f"--output={tmp_path / 'judged'}"]
    assert growth.main(given) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "judged" / "metrics.json").read_text())
    height, width = states.shape[1:]
    box = (site.left, site.top - height, site.left + width, site.top)
    decoded = read_states(root / "monitor").read(32650, box, Handles())
    found = metrics["methods"]
    assert found["decoded"]["all"] == ChangeCounts.of(decoded, states, KINDS).figures(KINDS)
    # By hand: single maps are wrong at 3 % of the pixels of every date, so about 11 % of stable ground changes.
    single = (maps >= 0.5).astype(np.uint8)
    single[1] = np.where(np.isnan(maps[1]), single[0], single[1])
    changes, true = (single[1:] != single[:-1]).any(0), (states[1:] != states[:-1]).any(0)
    assert found["naive"]["all"]["false_change"] == pytest.approx((changes & ~true).sum() / (~true).sum())
    assert found["decoded"]["all"]["change"]["f1"] > found["majority"]["all"]["change"]["f1"]
    assert found["majority"]["all"]["change"]["f1"] > found["naive"]["all"]["change"]["f1"]
    assert found["decoded"]["all"]["flicker"] < found["naive"]["all"]["flicker"]
    assert set(found["decoded"]) == {site.region, "all"}
    gains = [row["gain_m2"] for row in metrics["growth"]["true"]["all"]["periods"]]
    assert gains == [(states[k + 1] > states[k]).sum() for k in range(3)]
    assert "decoded as a sequence" in capsys.readouterr().out


def test_a_dataset_of_other_years_is_one_sentence(data, monitored, tmp_path, capsys):
    root, _ = monitored
    given = [f"--monitor={root / 'monitor'}", f"--dataset={data.root}", f"--output={tmp_path / 'judged'}"]
    assert growth.main(given) != 0
    assert "whose sites have the dates of the monitor" in capsys.readouterr().err


def test_the_report_has_the_areas_of_the_states(dated, monitored, tmp_path, capsys):
    _, site, states = dated
    root, _ = monitored
    flags = [f"--monitor={root / 'monitor'}", f"--regions={root / 'regions.gpkg'}", "--name=region"]
    out = tmp_path / "out"
    assert growth.main([*flags, f"--output={out}"]) == 0, capsys.readouterr().err
    table = json.loads((out / "growth.json").read_text())
    height, width = states.shape[1:]
    box = (site.left, site.top - height, site.left + width, site.top)
    decoded = read_states(root / "monitor").read(32650, box, Handles())
    for name, columns in (("west", slice(0, width // 2)), ("east", slice(width // 2, width)), ("all", slice(0, width))):
        built = [float((state == 1).sum()) for state in decoded[..., columns]]
        assert list(table[name]["impervious_m2"].values()) == pytest.approx(built, rel=2e-3)
    text = (out / "report.html").read_text()
    assert text.count("<img") == 3  # the chart and a map of each region
    assert "no area has an interval" in text
    assert growth.main([*flags, f"--output={out}"]) == 0  # replaces its own files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    assert growth.main([*flags, f"--output={tmp_path / 'mine'}"]) != 0
    assert (tmp_path / "mine" / "report.html").read_text() == "mine"


def test_the_page_has_a_layer_per_date_and_the_table(monitored, tmp_path, capsys):
    root, _ = monitored
    flags = [f"--monitor={root / 'monitor'}", f"--regions={root / 'regions.gpkg'}", "--name=region", "--max-zoom=15"]
    assert growth.main([*flags, "--view", f"--output={tmp_path / 'out'}"]) == 0, capsys.readouterr().err
    folder = root / "monitor" / "viewer"
    about = json.loads((folder / "product.js").read_text().removeprefix("window.PRODUCT = ").rstrip().removesuffix(";"))
    assert [d["label"] for d in about["dates"]] == list(LABELS)
    layers = [layer["id"] for layer in about["layers"]]
    assert layers == ["date0", "date1", "date2", "date3", "change"]
    assert all(any((folder / "layers" / layer).rglob("*.png")) for layer in layers)
    assert [row[0] for row in about["table"]["rows"]] == ["east", "west", "all"]
    with browser() as chromium:
        shown, troubles = chromium.new_page(), []
        shown.on("pageerror", lambda error: troubles.append(str(error)))
        shown.goto((folder / "index.html").as_uri())
        assert shown.locator("#right").input_value() == "change"
        assert "changed between 2019 and 2021" in shown.locator("#legend").text_content()
        shown.locator("#date").fill("2")
        assert shown.locator("#right").input_value() == "date2"
        assert shown.locator("#date-name").text_content() == "2021"
        shown.locator("#right").select_option("date0")
        assert shown.locator("#date").input_value() == "0"
        assert troubles == []


def test_ground_that_never_changed_has_no_change(dated, tmp_path):
    """Sure maps of the same ground in four years."""
    _, site, states = dated
    still = np.repeat(np.where(true_states(*states.shape[1:])[:1] == 1, 0.9, 0.1), 4, 0).astype(np.float32)
    folders = {label: write_map(tmp_path / label, site.left, site.top, still[0]) for label in LABELS}
    run_monitor(folders, tmp_path / "out", Settings(0, register=False), Serial(), say=lambda line: None)
    height, width = states.shape[1:]
    found = read_states(tmp_path / "out").read(
        32650, (site.left, site.top - height, site.left + width, site.top), Handles()
    )
    assert (found == found[:1]).all()
