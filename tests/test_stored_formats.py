"""Files that this and earlier versions of the program wrote are read: `tests/data_files/formats`, see make.py there."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from jointseg_jax.change.read_monitor import read_monitor
from jointseg_jax.commands import estimate
from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import load
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.change.decoded import read_states
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area import product_plan, rates
from jointseg_jax.mapping.predictor import confidence, halo, uncertainty
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.weights import weights_digest
from jointseg_jax.mapping.records.assessment import ASSESSMENT_FILE, kept_assessment
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.mapping.scenes.catalogue import to_json
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_json
from jointseg_jax.training.checkpoints.meta import FIRST_VERSION
from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.start import start
from jointseg_jax.training.trained import load_trained

STORED = pathlib.Path(__file__).parent / "data_files" / "formats"
VERSIONS = sorted(folder.name for folder in STORED.iterdir() if folder.is_dir())


@pytest.fixture(scope="module", params=VERSIONS)
def folder(request, tmp_path_factory):
    """A copy of everything that a version wrote."""
    copied = tmp_path_factory.mktemp("stored") / request.param
    shutil.copytree(STORED / request.param, copied)
    return copied


@pytest.fixture(scope="module")
def trained(folder):
    if int(folder.name) < FIRST_VERSION:
        pytest.skip("checkpoints of this version hold another network")
    return load_trained(folder / "run")


@pytest.mark.parametrize("version", [v for v in VERSIONS if int(v) < FIRST_VERSION])
def test_a_checkpoint_of_another_network_is_refused(version):
    with pytest.raises(InputError, match=r"run/checkpoints/0 was made by an earlier version .*: train again"):
        load_trained(STORED / version / "run")


def test_every_version_has_its_files():
    newest = max(kind.version for kind in vars(formats).values() if isinstance(kind, formats.Format))
    assert [str(version) for version in range(1, newest + 1)] == VERSIONS


def test_the_checkpoint(folder, trained):
    known = formats.read_record(halo.kept_at(trained), formats.HALO)
    assert weights_digest(trained.params) == known["sha256"]
    assert (trained.meta.calibration.temperature, trained.meta.calibration.threshold) == (1.5, 0.45)
    assert Stored(folder / "run").best() == 0
    assert halo.kept(trained).halo == 4
    assert confidence.measured(trained, "float32").auroc == 0.8
    if int(folder.name) >= 3:  # the first with such a record
        record = uncertainty.measured_for(Predictor(trained, 4), digest="be4b0a4cda0c6386")
        assert record.intervals["30m"][1] == uncertainty.Interval(60, -40, 50)
        assert record.measured.regions["south"].coverage == (0.9, None)


def test_training_goes_on_from_it(folder, trained):
    config = ConfigDict(Stored(folder / "run").meta(0).config)
    config.dataset.path = str(folder / "dataset")
    checkpoints = Checkpoints(folder / "run")
    begun = start(set_up(config), checkpoints, folder / "run")
    checkpoints.close()
    assert int(begun.state.step) == 0
    assert begun.fitted.scores == {"f1": 0.5, "iou": 0.3}


def test_the_dataset(folder):
    data = load(folder / "dataset")
    assert set(data.sites) == {"a", "b"}
    assert len(data.patches("train")) == len(data.patches("validation")) or len(data.index)
    site_record.check_rasters(data, data.sites.values(), deep=True)
    for name in data.sites:
        record = formats.read_record(folder / "dataset" / "sites" / name / "site.json", formats.SITE)
        assert site_record.kept(folder / "dataset" / "sites" / name, record["fingerprint"]) is not None
    assert formats.read_record(folder / "landscape.json", formats.LANDSCAPE)["region"] == "midstream"


def test_what_is_read_is_written_again_to_the_digit(folder, trained, tmp_path):
    """Digests, identities and fingerprints of older files are taken of the JSON text."""

    def same(found, stored):
        assert json.dumps(found, sort_keys=True) == json.dumps(stored, sort_keys=True)

    data = load(folder / "dataset")
    stored = read_json(folder / "dataset" / "dataset.json")
    same(typed.plain(data.contract), stored["contract"])
    for site in stored["sites"]:
        found = typed.plain(data.sites[site["name"]])
        same(found, {"registration": {}, "files": {}, "label_counts": {}, "dates": {}, "days": {}, **site})
    meta = read_json(folder / "run" / "checkpoints" / "0" / "meta" / "metadata")
    same(typed.plain(trained.meta.contract), meta["contract"])
    same(typed.plain(trained.meta.calibration), meta["calibration"])
    product = folder / "product"
    plan, scenes = product_plan.load(product, trained.meta.contract)
    listed = read_json(product / product_plan.CATALOGUE)["scenes"]
    same([to_json(scene) for scene in scenes.values()], listed)
    header = read_json(product / product_plan.PLAN)["jointseg"]
    later = typed.plain(product_plan._LATER)
    same({**later, **header["settings"]}, typed.plain(plan.settings))
    key = product_plan.catalogue_key(trained.meta.contract, plan.settings)
    assert key == read_json(product / product_plan.CATALOGUE)["key"]
    product_plan.save(tmp_path, plan, list(scenes.values()), key)
    identity = read_json(tmp_path / product_plan.PLAN)["jointseg"]["identity"]
    for part in ("network", "settings", "scenes", "contents"):
        assert identity[part] == header["identity"][part]


def test_the_product(folder):
    product = folder / "product"
    plan, scenes = product_plan.load(product, load(folder / "dataset").contract)
    assert plan.settings.halo == 4
    assert list(scenes) == ["early_20210601"]
    said: list[str] = []
    ledger = Ledger(product / "ledger", product, say=said.append)
    assert set(ledger.done()) == set(plan.units)
    assert all(ledger.find(unit, deep=True) for unit in plan.units)
    assert not said
    known = formats.read_record(folder / "run" / rates.FILE, formats.RATES)
    assert [set(rate) for rate in known.values()] == [{"km2", "worker_seconds", "bytes"}]


@pytest.mark.parametrize("version", [version for version in VERSIONS if int(version) >= 3])  # the first with samples
def test_a_sample_and_what_was_estimated_from_it(version, tmp_path):
    folder = STORED / version / "accuracy"
    found = {}
    for kind in ("points", "blocks"):
        given = [f"--design={folder / kind}", f"--answers={folder / kind / 'answers.csv'}"]
        assert estimate.main([*given, f"--json={tmp_path / kind}.json"]) == 0
        found[kind] = read_json(tmp_path / f"{kind}.json")
    assert found["blocks"]["sample"]["strata"] == [{"name": "all", "size": 144.0, "units": 20}]
    said: list[str] = []
    tiles = read_product(folder / "product").tiles
    kept = kept_assessment(folder / "product", tiles, said.append)
    assert not said
    assert set(kept) <= set(found["points"])
    for group in ("users", "producers", "area"):
        for name, figure in kept[group].items():
            for key in ("value", "se"):
                assert found["points"][group][name][key] == pytest.approx(figure[key], rel=1e-9)
    record = read_json(folder / "product" / ASSESSMENT_FILE)
    record["format"]["version"] = formats.ASSESSMENT.version + 1
    write_json(tmp_path / ASSESSMENT_FILE, {**record, "checksum": formats.checksum(record)})
    assert kept_assessment(tmp_path, tiles, said.append) == {}
    assert "is newer than this" in said[0]
    assert said[0].endswith(": upgrade jointseg-jax")


@pytest.mark.parametrize("version", [version for version in VERSIONS if int(version) >= 3])  # the first with a monitor
def test_a_monitor(version):
    folder = STORED / version / "monitor"
    found = read_monitor(folder)
    assert found.monitor.labels == ("2017", "2019", "2023")
    assert len(found.monitor.priors) == found.monitor.ground.count == 8
    stored = read_json(folder / "monitor.json")
    for ground in stored["classes"]:
        ground.setdefault("assumed", [])  # nothing was, when it was not written yet
    again = typed.plain(found.monitor)
    assert json.dumps(again, sort_keys=True) == json.dumps({k: stored[k] for k in again}, sort_keys=True)
    handles, states = Handles(), read_states(folder)
    for row in found.tiles.values():
        decoded = states.read(row.epsg, row.bounds, handles)
        gained = ((decoded[1:] == 1) & (decoded[:-1] == 0)).sum((1, 2))
        areas = np.sum([region.gain_m2 for region in row.regions.values()], 0)
        np.testing.assert_allclose(areas, gained, rtol=0.01)  # in metres of the zone
        assert row.item().properties["registration"]["2019"]["reference"] == "2017"
    handles.close()


@pytest.mark.parametrize(
    ("properties", "geometry", "reason"),
    [
        ({}, {}, "Error"),
        ({}, {"type": "Polygon", "coordinates": [[0]]}, "Error"),
        ({}, None, r"\[0\]\.geometry: expected object, got null"),
        ({"epsg": 4326}, {}, r"\[0\]\.properties: a tile has EPSG:4326"),
        ({"shares": []}, {}, r"\[0\]\.properties: .* 1 scenes and 0 shares"),
        ({"bounds": [1, 2, 3]}, {}, r"\[0\]\.properties\.bounds: expected array of length 4"),
    ],
)
def test_a_damaged_tile_of_a_plan_without_checksums(tmp_path, properties, geometry, reason):
    record = read_json(STORED / "1" / "product" / product_plan.PLAN)
    tile = record["features"][0]
    tile["properties"] |= {"whole": False, **properties}
    tile["geometry"] = geometry
    write_json(tmp_path / product_plan.PLAN, record)
    fields = read_json(STORED / "1" / "dataset" / "dataset.json")["contract"]
    contract = typed.parse(fields, Contract, formats.DATASET, "dataset.json")
    with pytest.raises(formats.Damaged, match=rf"plan\.geojson is damaged \(.*{reason}.*\): remove it"):
        product_plan.load(tmp_path, contract)
