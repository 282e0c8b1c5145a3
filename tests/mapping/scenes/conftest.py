"""A contract without radar."""

import pytest


@pytest.fixture
def optical(data):
    """A contract of Sentinel-2 alone."""
    return data.contract.replace(modalities=tuple(m for m in data.contract.modalities if m.name in ("s2", "s2_20m")))
