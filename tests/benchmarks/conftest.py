"""A tiny joint network and an interpreter with PyTorch, shared by the benchmark's tests."""

import os
import subprocess

import pytest
import toy


@pytest.fixture(scope="module")
def torch_python():
    """An interpreter that has PyTorch, named by JOINTSEG_PEER_PYTHON."""
    python = os.environ.get("JOINTSEG_PEER_PYTHON")
    if not python:
        pytest.skip("JOINTSEG_PEER_PYTHON names no interpreter with benchmarks/peers/requirements.txt")
    found = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"{python} has no PyTorch: {found.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture
def tiny(config):
    """Two stages, the second with a trunk at 5 m and x 5 by pixel shuffle; one input, one device, batches of two."""
    config.data.inputs = ("s2", "s1")
    config.data.batch = 2
    config.data.threads = 1
    config.mesh.data = 1
    config.model = toy.network()
    return config
