"""Boundaries, against distances between contour pixels computed one by one."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from jointseg_jax.evaluation.spatial.boundaries import BoundaryScore


def square(offset=0, size=64, side=20):
    classes = np.zeros((size, size), np.uint8)
    classes[20 : 20 + side, 20 + offset : 20 + offset + side] = 1
    return classes


def contour(classes):
    inner = classes == 1
    core = inner.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            core &= np.roll(inner, step, axis)
    return np.argwhere(inner & ~core)


def test_f1_is_that_of_the_distances_between_contours():
    rng = np.random.default_rng(0)
    mapped, reference = (square(k) for k in (0, 2))
    for classes in (mapped, reference):
        for row, col in rng.integers(10, 50, (6, 2)):
            classes[row : row + 4, col : col + 5] ^= 1
    ours, theirs = contour(mapped), contour(reference)
    figures = BoundaryScore.of(mapped, reference).figures()
    for tolerance in (1, 2, 3):
        precision = (cKDTree(theirs).query(ours)[0] <= tolerance).mean()
        recall = (cKDTree(ours).query(theirs)[0] <= tolerance).mean()
        found = figures[f"{tolerance}m"]
        assert (found["precision"], found["recall"]) == (pytest.approx(precision), pytest.approx(recall))
        assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_boundary_iou_of_a_square_beside_itself():
    """Rings of 76 pixels (width 1) that share the two long sides' 18 columns each, and nothing of the short ones."""
    figures = BoundaryScore.of(square(0), square(2)).figures()
    shared = 2 * 18
    assert figures["1m"]["iou"] == pytest.approx(shared / (2 * 76 - shared))
    assert [BoundaryScore.of(square(), square()).figures()[f"{t}m"]["iou"] for t in (1, 2, 3)] == [1, 1, 1]


def test_near_the_unknown_nothing_counts():
    mapped, reference = square(), square()
    mapped[:, 38:] = 0  # a wrong edge
    reference[:, 36:] = 255
    figures = BoundaryScore.of(mapped, reference).figures()
    assert figures["1m"]["f1"] == 1.0
    nothing = BoundaryScore.of(np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)).figures()
    assert nothing["1m"] == {"precision": None, "recall": None, "f1": None, "iou": None}


def test_the_edge_of_a_raster_is_no_boundary():
    score = BoundaryScore.of(np.ones((32, 32), np.uint8), np.ones((32, 32), np.uint8))
    assert score.mapped.sum() == 0
