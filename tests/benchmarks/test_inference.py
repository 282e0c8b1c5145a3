"""Windows of a map, timed beside a peer: that they are those of mapping, and that both compute the same."""

import json

import numpy as np
import pytest
import toy

from benchmarks import inference, resident, windows
from benchmarks.peers.driver import Peers
from benchmarks.subject import Subject
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.trained import Trained

WINDOW = {"tile": 8, "halo": 4}


def measured(config, peers):
    found = windows.measure(config, **WINDOW, rounds=2, peers=peers, say=toy.quiet, aim=0.01)
    return json.loads(json.dumps(found))


def test_a_measurement_without_a_peer(tiny):
    result = measured(tiny, None)
    assert result["window"] == {"tile": 8, "halo": 4, "input": [16, 16], "output": [80, 80]}
    assert result["ours"]["window_cpu_seconds"]["count"] == result["rounds"] == 2
    assert result["ours"]["flops"] > 2 * 9 * 80 * 80
    text = inference.table(result)
    assert "peers: none (give" in text
    assert f"{result['parameters']:,} parameters" in text


def test_the_window_is_one_of_mapping(tiny):
    subject = Subject.of(tiny)
    found = windows.OurWindows(subject, **WINDOW).outputs()
    data, meta = subject.experiment.data, subject.experiment.meta(Calibration())
    trained = Trained(data.root, 0, "ema", subject.experiment.model, subject.state().params, meta)
    scene = data.scene(next(iter(data.sites)), meta.contract)
    predictor = Predictor(trained, WINDOW["halo"], tile=WINDOW["tile"])
    (tile,) = predictor.run_windows(scene, [Window(0, 0, 8, 8)])
    np.testing.assert_array_equal(found["outputs/probability"][0], tile.probability)
    assert np.ptp(tile.probability) > 0.01  # the weights are moved, so something can differ
    for k, image in enumerate(tile.images, start=1):
        np.testing.assert_array_equal(found[f"outputs/image{k}"][0], image)


@pytest.mark.quick
def test_the_peak_of_some_work_is_its_own():
    def work():
        np.ones(1 << 23).sum()  # 64 MiB

    assert resident.peak(work) - resident.now() > 50 << 20
    assert resident.peak(lambda: None) - resident.now() < 10 << 20


def test_a_measurement_with_a_peer(tiny, torch_python):
    result = measured(tiny, Peers(torch_python, ("eager", "quick"), threads=1))
    assert "unknown" in result["peers"]["variants"]["quick"]["failed"]
    row = result["peers"]["variants"]["eager"]
    assert row["window_cpu_seconds"]["count"] == 2
    assert set(row["times_our_seconds"]) == {"wall", "cpu"}
    assert 0 < row["compared"]["apart"] < row["compared"]["tolerance"] == windows.TOLERANCE["cpu", "float32"]
    assert row["compared"]["largest_of_probability"] < 1e-4
    assert row["resident_bytes"] > 0
    text = inference.table(result)
    assert "torch eager" in text
    assert "(1e-04 allowed)" in text


@pytest.mark.slow
def test_compiled_variants_map_the_same(tiny, torch_python):
    tiny.model = toy.network(blocks=(3, 2))
    names = ("regions", "whole", "frozen")
    rows = measured(tiny, Peers(torch_python, names, threads=1, limit=500))["peers"]["variants"]
    for name in names:
        assert rows[name]["compared"]["apart"] < 1e-4
        assert rows[name]["first"]["graphs"]
    assert rows["regions"]["first"]["graphs"] <= 5  # two kinds of block, two tails, segmenter
