"""Samples the stored numbers of a raster: windows at full resolution, spread over its ground.

Overviews and decimated reads are not used, because their resampling mixes absent ground with its neighbours.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from rasterio.io import DatasetReader
from scipy import ndimage

from jointseg_jax.rasters.clouds import CloudMask
from jointseg_jax.rasters.collar import Collar
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, own_mask, read_window

_WHOLE = 2048  # rasters of at most this many pixels squared are read whole
_SIDE = 256  # pixels on a side of a window
_WINDOWS = 16
_CANDIDATES = 64  # windows along a side, for any size of raster
_MARGIN = 3  # pixels from absent ground that resampling and compression affect


@dataclasses.dataclass(frozen=True)
class Sample:
    """Windows of a raster at full resolution.

    Attributes:
        stored: numbers, one array [h, w, bands] per window.
        seen: False where the raster's own mask, alpha or black border marks absence; bool [h, w] each.
        clear: where the mask of cloud is clear; bool [h, w] each.
    """

    stored: tuple[np.ndarray, ...]
    seen: tuple[np.ndarray, ...]
    clear: tuple[np.ndarray, ...]

    def ground(self, modality: Modality) -> np.ndarray:
        """Stored numbers [n, bands] of valid cloud-free pixels; of all valid pixels if none is cloud-free."""
        valid = [seen & modality.valid(stored) for seen, stored in zip(self.seen, self.stored, strict=True)]
        clear = [v & c for v, c in zip(valid, self.clear, strict=True)]
        return self._of(clear if any(c.any() for c in clear) else valid)

    def inner(self, modality: Modality) -> np.ndarray:
        """Stored numbers [n, bands] of valid pixels, some pixels away from absent ground and the edges."""
        square = np.ones((3, 3), bool)
        return self._of(
            [
                ndimage.binary_erosion(seen & modality.valid(stored), square, iterations=_MARGIN)
                for seen, stored in zip(self.seen, self.stored, strict=True)
            ]
        )

    def _of(self, masks: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([stored[mask] for stored, mask in zip(self.stored, masks, strict=True)])


def take_sample(
    raster: DatasetReader,
    indexes: tuple[int, ...],
    *,
    masked: bool,
    likely: np.ndarray | None = None,
    collar: Collar | None = None,
    clouds: CloudMask | None = None,
) -> Sample:
    """Reads a sample: a small raster whole, otherwise windows spread over its valid ground.

    Args:
        raster: open.
        indexes: one-based numbers of the bands.
        masked: also apply the raster's own mask (`own_mask`).
        likely: where it probably holds ground, decimated, bool [h, w]; None for anywhere.
        collar: its black border.
        clouds: its mask of cloud.
    """
    stored, seen, clear = [], [], []
    handles = Handles()
    for window in _windows(raster.shape, likely):
        stored.append(read_window(raster, window, indexes)[0])
        mask = np.ones(stored[-1].shape[:2], bool)
        if masked:
            mask &= own_mask(raster, window, indexes=indexes)
        if collar is not None:
            mask &= ~collar.over(window)
        seen.append(mask)
        clear.append(np.ones_like(mask) if clouds is None else clouds.clear(window, handles))
    handles.close()
    return Sample(tuple(stored), tuple(seen), tuple(clear))


def _windows(shape: tuple[int, int], likely: np.ndarray | None) -> list[Window]:
    height, width = shape
    if height * width <= _WHOLE**2:
        return [Window(0, 0, height, width)]
    found = []
    down, across = (_SIDE * -(-n // (_SIDE * _CANDIDATES)) for n in shape)
    for row in range(0, max(1, height - _SIDE + 1), down):
        for col in range(0, max(1, width - _SIDE + 1), across):
            window = Window(row, col, min(_SIDE, height - row), min(_SIDE, width - col))
            found.append((_share(window, shape, likely), window))
    best = max(share for share, _ in found)
    full = [window for share, window in found if share >= best / 2]
    chosen = np.unique(np.linspace(0, len(full) - 1, _WINDOWS).round().astype(int))
    return [full[i] for i in chosen]


def _share(window: Window, shape: tuple[int, int], likely: np.ndarray | None) -> float:
    if likely is None:
        return 1.0
    y, x = likely.shape[0] / shape[0], likely.shape[1] / shape[1]
    rows = slice(int(window.row * y), max(int(window.row * y) + 1, int((window.row + window.height) * y)))
    cols = slice(int(window.col * x), max(int(window.col * x) + 1, int((window.col + window.width) * x)))
    return float(likely[rows, cols].mean())
