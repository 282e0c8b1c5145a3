"""A tiny joint network with a Subject, shared by the benchmark's tests."""

import pytest
import toy


@pytest.fixture
def tiny(config):
    """Two stages, the second with a trunk at 5 m and x 5 by pixel shuffle; one input, one device, batches of two."""
    config.data.inputs = ("s2", "s1")
    config.data.batch = 2
    config.data.threads = 1
    config.mesh.data = 1
    config.model = toy.network()
    return config
