"""The picture of a validation: the label goes by its own name, colours by theirs, and cloud is no probability."""

from fractions import Fraction

import numpy as np
import pytest

from jointseg_jax.models.jointseg import Outputs
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.training import validation
from jointseg_jax.training.calibration import Calibration

pytestmark = pytest.mark.quick

BANDS = ("B02", "B03", "B04", "B08")
SIDE = 6


@pytest.fixture
def shown(monkeypatch):
    """Titles and pictures of the one row that is drawn, of ground whose left half is cloud."""
    drawn = {}
    monkeypatch.setattr(
        drawing, "panels", lambda rows, titles: drawn.update(zip(titles, rows[0], strict=True)) or np.zeros((1, 1, 3))
    )
    contract = Contract((Modality("s2", BANDS, 10.0, "uint16", "reflectance"),), BANDS[:3], label="built_proxy")
    valid = np.ones((1, 1, SIDE, SIDE), bool)
    valid[..., : SIDE // 2] = False
    rng = np.random.default_rng(0)
    image = np.full((1, 10 * SIDE, 10 * SIDE, 3), 0.5, np.float32)
    image[..., 2] = rng.uniform(0, 1, image.shape[:-1])
    batch = {
        "inputs": {"s2": {"values": rng.uniform(0, 1, (1, 1, SIDE, SIDE, 4)).astype(np.float32), "valid": valid}},
        "image": image,
        "image_valid": np.ones((1, 10 * SIDE, 10 * SIDE), bool),
        "label": np.zeros((1, 10 * SIDE, 10 * SIDE), np.uint8),
    }
    logits = np.zeros((1, 10 * SIDE, 10 * SIDE, 2), np.float32)
    logits[..., 1] = 9
    stage = image[:, ::4, ::4][:, : SIDE * 5 // 2, : SIDE * 5 // 2]  # 2.5 times as fine
    outputs = Outputs(logits, (stage, image), (Fraction(4), Fraction(1)))
    validation.picture(contract, batch, outputs, Calibration(1.0, 0.5, 0), 1)
    return drawn


def test_cloud_is_absent(shown):
    for title in ("input 10 m", "SR 4 m", "SR 1 m", "probability"):
        rgb = shown[title]
        half = rgb.shape[1] // 2
        assert (rgb[:, : half - 5] == drawing.NODATA_COLOUR).all(), title
        assert (rgb[:, half + 5 :] != drawing.NODATA_COLOUR).any(-1).all(), title


def test_the_label_is_named(shown):
    assert "label: built_proxy" in shown


def test_red_is_red(shown):
    """Bands in the order blue, green, red; only red differs from place to place."""
    rgb = shown["target 1 m"]
    assert rgb[..., 0].max() == 255
    assert not rgb[..., 1:].any()
