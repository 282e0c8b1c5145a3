"""Finds the same pixels at two sites, whatever their coordinates say.

Windows of an image are chosen by their own content (a pixel whose hash begins with zeros), so equal ground gives equal
windows wherever it lies; each becomes a 64-bit number.
"""

import numpy as np

_SIDE = 6  # pixels of a window; windows of 4 pixels repeat by chance on water
_RARITY = np.uint64(58)  # bits shifted away: one pixel in 64 begins a window
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth, TAOCP 6.4)


def signatures(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The numbers of the windows of an image, uint64, sorted and distinct; windows of one value are left out.

    Args:
        values: stored numbers [h, w, bands].
        valid: bool [h, w].
    """
    height, width, bands = values.shape
    if height < _SIDE or width < _SIDE:
        return np.zeros(0, np.uint64)
    numbers = values.view(f"u{values.dtype.itemsize}") if values.dtype.kind in "fi" else values
    keys = np.zeros((height, width), np.uint64)
    for band in range(bands):
        keys = (keys ^ numbers[..., band].astype(np.uint64)) * _MIX
        keys ^= keys >> np.uint64(29)
    begins = (keys >> _RARITY == 0) & valid
    row, col = np.nonzero(begins[: height - _SIDE + 1, : width - _SIDE + 1])
    at = np.arange(_SIDE)
    rows, cols = row[:, None, None] + at[:, None], col[:, None, None] + at
    whole = valid[rows, cols].all((1, 2))
    windows = numbers[rows, cols].reshape(len(row), _SIDE * _SIDE * bands)[whole]
    windows = windows[(windows != windows[:, :1]).any(1)].astype(np.uint64)
    weights = np.random.default_rng(0).integers(0, 2**63, windows.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    return np.unique((windows * weights).sum(1, dtype=np.uint64))
