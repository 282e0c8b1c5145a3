"""A model card, and a product with all its records."""

import pytest

from jointseg_jax.mapping.records.model_card import checkpoint_asset, model_item
from jointseg_jax.mapping.records.stac_records import write_records


@pytest.fixture
def card(trained):
    """The model card of `trained`."""
    return model_item(trained, {"checkpoint": checkpoint_asset(trained, "../run/checkpoints/0")})


@pytest.fixture
def written(product, card):
    """The folder of a product with records, and the rows of its ledger."""
    folder, rows = product
    write_records(folder, rows, card, say=lambda _: None)
    return folder, rows
