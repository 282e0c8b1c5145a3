"""A product and its ledger; clusters that end with the test."""

import sys

import pytest
from jobs.processes import ExistingCluster

from jointseg_jax.jobs.ledger import Ledger


@pytest.fixture
def product(tmp_path):
    folder = tmp_path / "product"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger(product):
    return Ledger(product / "ledger")


@pytest.fixture
def start_cluster():
    """Starts a scheduler with a number of workers."""
    started = []

    def start(workers=0):
        started.append(ExistingCluster(workers))
        return started[-1]

    yield start
    for cluster in started:
        cluster.close()


@pytest.fixture
def cuda(tmp_path, monkeypatch):
    """A JAX that knows CUDA, by an empty plugin; returns the folder of the plugins."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delitem(sys.modules, "jax_plugins", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "path")
    folder = tmp_path / "path" / "jax_plugins"
    (folder / "xla_cuda13").mkdir(parents=True)
    (folder / "xla_cuda13" / "__init__.py").touch()
    return folder
