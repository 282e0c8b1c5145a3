"""The network that comes with the package: small, described, loaded by name, and known by what it computes."""

import json
import pathlib
import re
import shutil

import known_map
import numpy as np
import pytest

from jointseg_jax import shipped
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.area import rates
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.mapping.predictor.halo import kept
from jointseg_jax.mapping.predictor.weights import flat_weights, weights_digest
from jointseg_jax.training.trained import load_trained

ROOT = pathlib.Path(__file__).parents[2]
LARGEST = 8_000_000  # bytes
# Of a probability: float32 sums in another order on another processor. A wrong unit or band moves it by tenths.
TOLERANCE = 0.002


@pytest.fixture(scope="module")
def network():
    return load_trained("dubai")


@pytest.fixture(scope="module")
def known():
    return json.loads(known_map.FILE.read_text())


@pytest.mark.parametrize("name", shipped.names())
def test_it_is_small_and_described(name):
    folder = shipped.shipped(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST
    card = (folder / "README.md").read_text()
    for words in ("SIMULATED Sentinel-2", "CC0", "did not see", "Not for"):
        assert words in card
    assert str(ROOT) not in (folder / "network.json").read_text()


def test_the_card_is_of_this_network(network):
    """Figures of scenes that it did not see are those of docs/results."""
    card = (network.workdir / "README.md").read_text()
    assert f"step {network.step:,}" in card
    assert f"{sum(x.size for x in flat_weights(network.params).values()):,} parameters" in card
    runs = json.loads((ROOT / "docs/results/study.json").read_text())
    unseen = {f"{run['fold']} | {run['f1']:.3f}" for run in runs if (run["row"], run["seed"]) == ("sr-1", 0)}
    quoted = set(re.findall(r"(scene\d \| \d\.\d{3})", card))
    assert quoted
    assert quoted <= unseen


def test_it_is_loaded_by_name(network):
    assert shipped.is_shipped(network.workdir)
    assert network.meta.contract.primary.bands == ("R", "G", "B")
    assert network.meta.contract.label == "built_proxy"
    assert kept(network).met  # its halo is part of the package
    with pytest.raises(InputError, match=r"no network 'dubay' comes with this package: use one of dubai"):
        shipped.shipped("dubay")


def test_a_folder_of_that_name_comes_first(network, tmp_path, monkeypatch):
    shutil.copytree(network.workdir, tmp_path / "dubai")
    monkeypatch.chdir(tmp_path)
    assert load_trained("dubai").workdir == pathlib.Path("dubai")


def test_nothing_is_written_to_the_package(network):
    before = sorted(network.workdir.iterdir())
    row = {"owned_m2": 1e6, "seconds": {"total": 1.0}, "files": {}}
    rates.keep(network.workdir, Settings(), [row])
    assert sorted(network.workdir.iterdir()) == before


def test_the_known_output_is_of_these_weights(network, known):
    assert known["weights"] == weights_digest(network.params)
    expected = np.array(known["probability"])
    assert expected.shape == (6, 6)
    assert np.ptp(expected) > 0.1


@pytest.mark.slow
def test_a_known_input_gives_the_known_output(network, known):
    np.testing.assert_allclose(known_map.block_probabilities(network), known["probability"], atol=TOLERANCE)
