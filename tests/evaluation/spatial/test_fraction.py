"""The fraction of cells, against a plain loop."""

import numpy as np
import pytest

from jointseg_jax.evaluation.spatial.fraction import FractionError


def rasters(seed=0, height=40, width=30):
    rng = np.random.default_rng(seed)
    classes = [rng.choice(np.array([0, 1, 255], np.uint8), (height, width), p=(0.5, 0.4, 0.1)) for _ in range(2)]
    classes[1][:10, :10] = 255  # a cell that nobody knows
    classes[1][:10, 10:16] = 255  # 40 % known
    return classes


def by_hand(mapped, reference, side):
    pairs = []
    for row in range(0, mapped.shape[0], side):
        for col in range(0, mapped.shape[1], side):
            a, b = (x[row : row + side, col : col + side] for x in (mapped, reference))
            known = (a != 255) & (b != 255)
            if known.mean() >= 0.5:
                pairs.append(((a[known] == 1).mean(), (b[known] == 1).mean()))
    return np.array(pairs).T


def compared(mapped, reference, side):
    return FractionError.of(mapped == 1, reference == 1, (mapped != 255) & (reference != 255), side)


def test_it_is_what_a_loop_finds():
    mapped, reference = rasters()
    estimate, truth = by_hand(mapped, reference, 10)
    figures = compared(mapped, reference, 10).figures()
    assert figures["cells"] == len(truth) == 10
    assert figures["bias"] == pytest.approx((estimate - truth).mean())
    assert figures["rmse"] == pytest.approx(np.sqrt(np.square(estimate - truth).mean()))
    assert figures["r2"] == pytest.approx(1 - np.square(estimate - truth).sum() / np.square(truth - truth.mean()).sum())


def test_parts_add_up():
    mapped, reference = rasters()
    parts = [compared(mapped[r : r + 20], reference[r : r + 20], 10) for r in (0, 20)]
    whole = compared(mapped, reference, 10)
    assert (parts[0] + parts[1]).figures() == pytest.approx(whole.figures())


def test_without_cells_nothing_is_claimed():
    nothing = np.full((10, 10), 255, np.uint8)
    assert compared(nothing, nothing, 10).figures() == {"cells": 0, "bias": None, "rmse": None, "r2": None}
    constant = np.ones((10, 10), np.uint8)
    assert compared(constant, constant, 10).figures()["r2"] is None
