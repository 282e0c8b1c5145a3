"""LPIPS of 1 m images (`models.lpips`), with weights from files that the user names.

LPIPS is a mean over a whole image. So a site is cut into chips, whatever its tiling, and figures are means over chips.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.sums import Sums, ratio
from jointseg_jax.models.lpips import lpips
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.storage.files import sha256
from jointseg_jax.training.checkpoints.published import load_lpips

CHIP = 64  # pixels on a side, as the patches whose likeness people judged for the linear weights
_BATCH = 16  # chips at a time


@dataclasses.dataclass(frozen=True)
class Likeness(Sums):
    """Sums over chips."""

    chips: int = 0
    distance: float = 0.0

    def mean(self) -> float | None:
        """The mean LPIPS; None without chips."""
        return ratio(self.distance, self.chips)


class Lpips:
    """LPIPS of images in the units of a dataset.

    Attributes:
        about: the backbone, and name and SHA-256 of the files.
    """

    def __init__(self, files: Sequence[str | os.PathLike[str]], bands: Sequence[str], low: float, high: float):
        """Reads the weights.

        Args:
            files: one or two, see `load_lpips`.
            bands: names of the image bands.
            low: value of the image that is shown black.
            high: value of the image that is shown white.

        Raises:
            InputError: other files, or not three bands.
        """
        if len(bands) != 3:
            raise InputError(
                f"LPIPS is of images of three bands, but this dataset's have {len(bands)} ({', '.join(bands)}): leave "
                "out --lpips"
            )
        backbone, params = load_lpips(files)
        named = [{"name": pathlib.Path(path).name, "sha256": sha256(path)} for path in files]
        self.about: dict[str, Any] = {"backbone": backbone.name, "files": named, "chip_m": CHIP}
        self._order, self._low, self._range = list(rgb_order(bands)), low, high - low
        self._params = jax.device_put(params)
        self._run = jax.jit(functools.partial(lpips, backbone))

    def distances(self, target: np.ndarray, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """LPIPS of images from their targets, [n, CHIP, CHIP, 3] each: [n] for each kind of image.

        The values between `low` and `high` go to -1..1; those beyond are cut off, as a display does.
        """
        shown = [self._shown(x) for x in (target, *images)]
        found: list[list[np.ndarray]] = [[] for _ in images]
        for begin in range(0, len(target), _BATCH):
            part = [x[begin : begin + _BATCH] for x in shown]
            count = len(part[0])
            full = [np.pad(x, ((0, _BATCH - count), (0, 0), (0, 0), (0, 0))) for x in part]  # one shape, one program
            for of, values in zip(found, self._run(self._params, full[0], full[1:]), strict=True):
                of.append(np.asarray(values)[:count])
        return [np.concatenate(values) if values else np.zeros(0, np.float32) for values in found]

    def _shown(self, x: np.ndarray) -> np.ndarray:
        scaled = 2 * (x[..., self._order].astype(np.float32) - self._low) / self._range - 1
        return np.clip(scaled, -1, 1)


class LpipsChips:
    """Cuts strips of a site into chips, from its top left corner, and scores those whose pixels are all valid.

    What remains at the right and at the bottom is left out.
    """

    def __init__(self, judge: Lpips):
        self._judge = judge
        self._rest: tuple[np.ndarray, ...] = ()

    def add(self, target: np.ndarray, valid: np.ndarray, images: Sequence[np.ndarray]) -> list[Likeness]:
        """Adds the next rows of the site; scores the chips that they complete.

        Args:
            target: [h, width, 3].
            valid: bool [h, width].
            images: [h, width, 3] each.

        Returns:
            One sum for each kind of image.
        """
        rows: tuple[np.ndarray, ...] = (valid, target, *images)
        if self._rest:
            rows = tuple(np.concatenate(pair) for pair in zip(self._rest, rows, strict=True))
        whole = len(valid_rows := rows[0]) // CHIP * CHIP
        width = valid_rows.shape[1] // CHIP * CHIP
        self._rest = tuple(x[whole:] for x in rows)
        use, *pictures = (_cut(x[:whole, :width]) for x in rows)
        judged = use.all((1, 2))
        found = self._judge.distances(pictures[0][judged], [x[judged] for x in pictures[1:]])
        return [Likeness(len(values), float(values.sum(dtype=np.float64))) for values in found]


def _cut(x: np.ndarray) -> np.ndarray:
    """Chips of an image whose sides are whole multiples of theirs: [h, w, ...] -> [n, CHIP, CHIP, ...]."""
    rows, columns = x.shape[0] // CHIP, x.shape[1] // CHIP
    parts = x.reshape(rows, CHIP, columns, CHIP, *x.shape[2:]).swapaxes(1, 2)
    return parts.reshape(rows * columns, CHIP, CHIP, *x.shape[2:])
