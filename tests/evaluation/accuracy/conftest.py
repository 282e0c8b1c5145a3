"""A small product of known classes."""

import pathlib
import sys

import pytest

for folder in (pathlib.Path(__file__).parents[2] / "mapping", pathlib.Path(__file__).parent):
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def known_product(tmp_path_factory):
    """Three tiles of known classes; copy it before changing it."""
    from known_ground import make_product

    return make_product(tmp_path_factory.mktemp("known") / "product")
