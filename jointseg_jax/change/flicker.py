"""Counts pixels whose sequence of states cannot be true growth: impervious, then pervious, then impervious."""

import numpy as np

from jointseg_jax.rasters.contract import IGNORE


def flickers(states: np.ndarray) -> np.ndarray:
    """Where a sequence is impervious, later pervious, and later impervious again: bool [rows, cols].

    Args:
        states: uint8 [dates, rows, cols]: 0, 1, and 255 for nodata, which is skipped.
    """
    stage = np.zeros(states.shape[1:], np.uint8)  # 1: impervious seen, 2: then pervious, 3: then impervious
    for state in states:
        stage += ((state == 1) & (stage != 1) & (stage < 3)) | ((state == 0) & (stage == 1))
    return stage == 3


def changes(states: np.ndarray) -> np.ndarray:
    """Number of changes along each sequence, nodata skipped: uint8 [rows, cols]."""
    count, before = np.zeros(states.shape[1:], np.uint8), states[0].copy()
    for state in states[1:]:
        known = state != IGNORE
        count += known & (before != IGNORE) & (state != before)
        before = np.where(known, state, before)
    return count
