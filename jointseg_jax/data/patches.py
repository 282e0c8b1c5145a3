"""Reads training samples: the inputs, the image and the label of a patch."""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.sensor import Sensor, SensorSpread
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Contract
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.rasters.scene import ImageLayer

Sample = dict[str, Any]


class PatchReader:
    """Reads patches of one split.

    A sample is a dict with fixed keys: `inputs` (modality -> `values` float32 `[dates, h, w, bands]` and `valid` bool
    `[dates, h, w]`, physical units), `image` float32 `[10h, 10w, 3]` in the units of the input bands, `image_valid`,
    `label` uint8 `[10h, 10w]` (255 ignored), `patch` (its number) and `readable`.

    An unreadable patch becomes an all-masked sample with `readable` False. It is never dropped, because batches are a
    pure function of dataset, seed and step.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        contract: Contract,
        spread: SensorSpread | None = None,
        date_dropout: float = 0.0,
    ):
        rows = dataset.patches(split)
        self._names: list[str] = rows["site"].tolist()
        self._windows = rows[["row", "col", "height", "width"]].to_numpy()
        self._root = str(dataset.root)
        self._scenes = {name: dataset.scene(name, contract) for name in dict.fromkeys(self._names)}
        self._labels = {name: dataset.sites[name].label for name in self._scenes}
        self.contract = contract
        self._sensor: Sensor | None = None
        if spread is not None:
            if dataset.simulated is None:
                raise InputError(
                    f"data.sensor_spread varies the simulated sensor, but the inputs of {dataset.root} were not "
                    "simulated: remove data.sensor_spread from the config file"
                )
            self._sensor = dataset.simulated.sensor
            later = max(spread.shift, dataset.simulated.later_shift)
            self._later = dataclasses.replace(spread, shift=later)
        self._spread = spread
        self._date_dropout = date_dropout
        self._handles = Handles()

    def __len__(self) -> int:
        return len(self._names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a patch in 10 m pixels."""
        return int(self._windows[0, 2]), int(self._windows[0, 3])

    def describe(self, patch: int) -> str:
        """Site and window of a patch, for messages."""
        row, col, height, width = self._windows[patch]
        return f"site {self._names[patch]}, rows {row}-{row + height}, columns {col}-{col + width} (10 m pixels)"

    def read(self, patch: int, rng: np.random.Generator | None = None) -> Sample:
        """Reads a patch.

        With `rng` (training), dates are masked at random, and a spread re-simulates the first modality, each date with
        a random sensor of its own.
        """
        try:
            return self._read(patch, rng)
        except InputError as error:
            _complain(str(error), self.describe(patch))
            return {**self.masked(), "patch": np.int32(patch)}

    def masked(self) -> Sample:
        """A sample without valid pixels."""
        height, width = self.size
        dates = self.contract.dates
        inputs = {
            m.name: {
                "values": np.zeros((dates, height, width, len(m.bands)), np.float32),
                "valid": np.zeros((dates, height, width), bool),
            }
            for m in self.contract.modalities
        }
        fine = (height * FINE_FACTOR, width * FINE_FACTOR)
        return {
            "inputs": inputs,
            "image": np.zeros((*fine, len(self.contract.image_bands)), np.float32),
            "image_valid": np.zeros(fine, bool),
            "label": np.full(fine, IGNORE, np.uint8),
            "patch": np.int32(-1),
            "readable": np.bool_(False),
        }

    def _read(self, patch: int, rng: np.random.Generator | None) -> Sample:
        name = self._names[patch]
        window = Window(*(int(v) for v in self._windows[patch]))
        scene = self._scenes[name]
        image_layer = scene.image
        assert image_layer is not None
        inputs = scene.read(window, self._handles)
        if rng is not None:
            for modality in self.contract.modalities:
                seen = np.asarray(inputs[modality.name]["valid"].any((1, 2)))
                kept = kept_dates(seen, self._date_dropout if modality.dates > 1 else 0.0, rng)
                if self._sensor is not None and modality is self.contract.primary:
                    inputs[modality.name] = self._observe(image_layer, window, kept, rng)
                elif not kept.all():
                    inputs[modality.name] = {k: _masked(v, kept) for k, v in inputs[modality.name].items()}
        image, image_valid = image_layer.read(window.scale(FINE_FACTOR), self._handles)
        label, _ = read_window(self._handles.get(f"{self._root}/{self._labels[name]}"), window.scale(FINE_FACTOR))
        return {
            "inputs": inputs,
            "image": image,
            "image_valid": image_valid,
            "label": label[..., 0],
            "patch": np.int32(patch),
            "readable": np.bool_(True),
        }

    def _observe(
        self, image_layer: ImageLayer, window: Window, kept: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Simulates dates of the first modality from the image, each with a drawn sensor, quantised as stored."""
        assert self._sensor is not None
        assert self._spread is not None
        modality = self.contract.primary
        dates = [date for date in range(modality.dates) if kept[date]]
        # The first of those kept lies on the image's grid, as the first date does in evaluation.
        sensors = [(self._later if k else self._spread).draw(self._sensor, rng) for k in range(len(dates))]
        margin = -(-max(sensor.margin for sensor in sensors) // FINE_FACTOR)
        image, valid = image_layer.read(window.pad(margin).scale(FINE_FACTOR), self._handles)
        core = np.s_[margin : margin + window.height, margin : margin + window.width]
        shape = (self.contract.dates, window.height, window.width)
        values, inside = np.zeros((*shape, len(modality.bands)), np.float32), np.zeros(shape, bool)
        for date, sensor in zip(dates, sensors, strict=True):
            observed, seen = sensor.observe(image, valid, rng=rng)
            stored = modality.decode(modality.encode(observed[core]))
            values[date] = np.where(seen[core][..., None], stored, 0)
            inside[date] = seen[core]
        return {"values": values, "valid": inside}


def kept_dates(seen: np.ndarray, dropout: float, rng: np.random.Generator) -> np.ndarray:
    """Draws the dates that a sample keeps: bool [dates].

    Each but one is dropped with a probability that is uniform between 0 and `dropout`. The one is among those with
    data. With a dropout of 1, all numbers of dates are equally frequent.

    Args:
        seen: bool [dates], whether a date has data.
        dropout: 0 keeps all dates and draws nothing.
        rng: of the sample.
    """
    if not dropout:
        return np.ones(len(seen), bool)
    probability = rng.uniform(0, dropout)
    kept = rng.random(len(seen)) >= probability
    kept[np.argmax(np.where(seen, rng.random(len(seen)), -1.0))] = True
    return kept


def _masked(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Zeroes what lies in dropped dates; axis 0 is dates."""
    return np.where(kept.reshape(-1, *(1,) * (values.ndim - 1)), values, np.zeros((), values.dtype))


_reported: set[str] = set()
_reported_lock = threading.Lock()


def _complain(message: str, patch: str) -> None:
    """Logs each unreadable patch once; the training loop counts them."""
    from absl import logging

    with _reported_lock:
        if patch not in _reported:
            _reported.add(patch)
            logging.error("the patch of %s cannot be read and is masked: %s", patch, message)


def stack(samples: Sequence[Sample]) -> Sample:
    """Stacks samples along a new leading axis."""
    first = samples[0]
    return {
        k: stack([s[k] for s in samples]) if isinstance(v, dict) else np.stack([s[k] for s in samples])
        for k, v in first.items()
    }
