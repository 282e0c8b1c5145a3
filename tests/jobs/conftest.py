"""A product and its ledger."""

import pytest

from jointseg_jax.jobs.ledger import Ledger


@pytest.fixture
def product(tmp_path):
    folder = tmp_path / "product"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger(product):
    return Ledger(product / "ledger")
