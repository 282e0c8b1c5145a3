"""Intervals from blocks, and figures by density."""

import numpy as np
import pytest

from jointseg_jax.evaluation.confusion import Confusion
from jointseg_jax.evaluation.spatial.blocks import BlockCounts, ByDensity
from jointseg_jax.evaluation.spatial.scores import SpatialScores


def test_blocks_hold_every_known_pixel_once():
    rng = np.random.default_rng(0)
    mapped, reference = (rng.choice(np.array([0, 1, 255], np.uint8), (1100, 700)) for _ in range(2))
    found = BlockCounts.of(mapped, reference)
    assert len(found.counts) == 6
    assert tuple(found.counts.sum(0)) == tuple(vars(Confusion.of(mapped, reference)).values())


def test_the_interval_covers_the_truth_of_other_ground():
    """Blocks whose recall varies: of 200 samples of 30 blocks, about 95 % of the intervals hold the long-run recall."""
    rng = np.random.default_rng(0)

    def blocks(count):
        recall = rng.beta(8, 4, count)
        hits = rng.binomial(1000, recall)
        return BlockCounts(np.stack([hits, np.full(count, 300), 1000 - hits, np.full(count, 9000)], 1))

    truth = 8 / 12
    intervals = [blocks(30).intervals(seed=k)["recall"] for k in range(200)]
    assert 0.90 <= np.mean([low <= truth <= high for low, high in intervals]) <= 0.98


def test_few_blocks_have_no_interval():
    few = BlockCounts(np.ones((9, 4), np.int64))
    assert few.intervals() == {
        "blocks": 9, "precision": None, "recall": None, "f1": None, "iou": None, "area_ratio": None,
    }  # fmt: skip
    empty = BlockCounts(np.tile([0, 0, 0, 5], (20, 1)))
    assert empty.intervals()["f1"] is None


def test_cells_are_sorted_by_the_density_of_the_reference():
    reference = np.zeros((100, 400), np.uint8)
    reference[:10, 100:200], reference[:30, 200:300], reference[:, 300:400] = 1, 1, 1
    mapped = reference.copy()
    mapped[:, 300:350] = 0
    figures = ByDensity.of(mapped, reference).figures()
    assert [row["pixels"] for row in figures] == [10000] * 4
    assert [row["isa"]["recall"] for row in figures] == [None, 1.0, 1.0, 0.5]


def test_parts_of_a_large_site_add_up(monkeypatch):
    rng = np.random.default_rng(0)
    reference = (rng.random((600, 600)) < 0.3).astype(np.uint8)
    mapped = np.where(rng.random((600, 600)) < 0.2, 1 - reference, reference).astype(np.uint8)
    whole = SpatialScores.of(mapped, mapped.astype(np.float16), reference).figures()
    monkeypatch.setattr("jointseg_jax.evaluation.spatial.scores.PART", 300)
    parts = SpatialScores.of(mapped, mapped.astype(np.float16), reference).figures()
    assert parts["fraction"]["map"]["100m"] == pytest.approx(whole["fraction"]["map"]["100m"])
    assert [row["pixels"] for row in parts["by_density"]] == [row["pixels"] for row in whole["by_density"]]
    assert parts["intervals"]["blocks"] == 4


def test_a_difference_is_resampled_in_pairs():
    """Two maps of ground whose difficulty varies: the paired interval is narrower, and holds the difference."""
    rng = np.random.default_rng(0)
    hits = rng.binomial(1000, rng.beta(4, 4, 40))
    better = np.minimum(hits + 30, 1000)
    one, two = (BlockCounts(np.stack([h, np.full(40, 300), 1000 - h, np.full(40, 9000)], 1)) for h in (better, hits))
    found = one.difference(two)
    unpaired = np.diff(one.intervals()["recall"]) + np.diff(two.intervals()["recall"])
    assert found["recall"]["value"] == pytest.approx((better - hits).sum() / 40_000)
    assert found["recall"]["low"] <= found["recall"]["value"] <= found["recall"]["high"]
    assert found["recall"]["high"] - found["recall"]["low"] < 0.1 * unpaired[0]
    assert found["oa"]["value"] == pytest.approx((better - hits).sum() / (40 * 10_300))
    assert one.difference(one)["f1"] == {"value": 0, "low": 0, "high": 0}
    few = BlockCounts(one.counts[:9]).difference(BlockCounts(two.counts[:9]))
    assert (few["f1"]["low"], few["blocks"]) == (None, 9)
    with pytest.raises(ValueError, match="same pixels"):
        one.difference(BlockCounts(two.counts[:9]))
