"""Contract 4: global batches are a pure function of (dataset, seed, step)."""

import grain
import jax
import numpy as np
import pytest

from jointseg_jax.data.augmentation import dihedral, jitter
from jointseg_jax.data.patches import PatchReader
from jointseg_jax.data.pipeline import Slice, evaluation_batches, training_batches

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def reader(data):
    return PatchReader(data, "train", data.contract)


def take(reader, count, **changes):
    batches = training_batches(reader, **{"batch": 8, "seed": 0, "start": 0, **changes})
    try:
        return [next(batches) for _ in range(count)]
    finally:
        batches.close()


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("changes", [{"threads": 1}, {"threads": 8}], ids=str)
def test_threads_change_nothing(reader, changes):
    assert_same(take(reader, 5), take(reader, 5, **changes))


@pytest.mark.slow
def test_workers_change_nothing(reader):
    assert_same(take(reader, 5), take(reader, 5, workers=2))
    assert_same(take(reader, 5)[2:], take(reader, 3, workers=2, start=2))


def test_resuming_is_skipping(reader):
    assert_same(take(reader, 6)[4:], take(reader, 2, start=4))


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_share_the_global_batch(reader, processes):
    parts = [take(reader, 3, slice_=Slice(p, processes)) for p in range(processes)]
    joined = [jax.tree.map(lambda *x: np.concatenate(x), *step) for step in zip(*parts, strict=True)]
    assert_same(take(reader, 3), joined)


def test_batch_must_divide(reader):
    with pytest.raises(ValueError, match="not a multiple of the 3 processes"):
        training_batches(reader, batch=8, seed=0, start=0, slice_=Slice(0, 3))


def test_seed_changes_the_order(reader):
    first, second = take(reader, 1)[0]["patch"], take(reader, 1, seed=1)[0]["patch"]
    assert not np.array_equal(first, second)


def test_every_patch_once_per_epoch(reader):
    count = len(reader)
    order = grain.MapDataset.range(count).seed(0).shuffle().repeat()
    for epoch in range(2):
        assert sorted(order[epoch * count + i] for i in range(count)) == list(range(count))
    epochs = [np.concatenate([b["patch"] for b in take(reader, count, batch=1)])]
    assert sorted(epochs[0]) == list(range(count))


def test_all_rasters_turn_together(reader):
    """The image turned and then averaged to 10 m is the averaged image turned.

    So input, image and label still match.
    """
    sample = reader.read(0)
    for turns in range(4):
        for flip in (False, True):
            moved = dihedral(sample, turns, flip)
            share = (moved["label"] == 1).reshape(12, 10, 12, 10).mean((1, 3))
            expected = np.rot90((sample["label"] == 1).reshape(12, 10, 12, 10).mean((1, 3)), turns)
            np.testing.assert_array_equal(share, expected[:, ::-1] if flip else expected)
            bright = moved["image"].reshape(12, 10, 12, 10, 3).mean((1, 3))
            seen = moved["inputs"]["s2"]["values"][0][..., [2, 1, 0]]
            valid = moved["inputs"]["s2"]["valid"][0]
            assert np.corrcoef(bright[valid].ravel(), seen[valid].ravel())[0, 1] > 0.99


def test_jitter_scales_input_and_image_alike(data):
    reader = PatchReader(data, "train", data.contract)
    sample = reader.read(0)
    moved = jitter(sample, data.contract, 0.3, np.random.default_rng(0))
    ok = sample["inputs"]["s2"]["valid"]
    gain = moved["inputs"]["s2"]["values"][ok] / sample["inputs"]["s2"]["values"][ok]
    np.testing.assert_allclose(gain, np.broadcast_to(gain[0], gain.shape), rtol=1e-4)
    assert np.abs(np.log(gain[0])).max() > 0.01
    positive = np.abs(sample["image"]) > 1e-3
    ratio = np.where(positive, moved["image"] / np.where(positive, sample["image"], 1), gain[0][[2, 1, 0]])
    np.testing.assert_allclose(ratio, np.broadcast_to(gain[0][[2, 1, 0]], ratio.shape), rtol=1e-4)
    np.testing.assert_array_equal(moved["inputs"]["s1"]["values"], sample["inputs"]["s1"]["values"])
    assert_same(take(reader, 3, jitter=0.2), take(reader, 3, jitter=0.2, threads=1))


def test_evaluation_covers_each_patch_once(data):
    reader = PatchReader(data, "validation", data.contract)
    batches = list(evaluation_batches(reader, batch=4))
    numbers = np.concatenate([b["patch"] for b in batches])
    assert sorted(numbers[numbers >= 0]) == list(range(len(reader)))
    assert len(numbers) % 4 == 0
    filled = np.concatenate([b["readable"] for b in batches])
    assert filled.sum() == len(reader)
    halves = [list(evaluation_batches(reader, batch=4, slice_=Slice(p, 2))) for p in range(2)]
    joined = [jax.tree.map(lambda *x: np.concatenate(x), *pair) for pair in zip(*halves, strict=True)]
    assert_same(batches, joined)
