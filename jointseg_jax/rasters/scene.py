"""A scene: the modalities of one place on one 10 m lattice, read by windows in physical units."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.rasters.clouds import CloudMask
from jointseg_jax.rasters.collar import Collar
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract, Modality, Speckle
from jointseg_jax.rasters.interpolation import block_means, interpolate
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_mask, read_window
from jointseg_jax.rasters.speckle import filter_speckle
from jointseg_jax.storage import typed


@dataclasses.dataclass(frozen=True)
class Adjustment:
    """A linear change of decoded values per band, `value * gain + offset`, to harmonise a scene with training data."""

    gain: tuple[float, ...]
    offset: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One acquisition of one modality.

    Attributes:
        path: of the file.
        indexes: one-based numbers of the modality's bands in it.
        modality: how its numbers are decoded.
        adjustment: applied after decoding.
        own_mask: apply the file's own mask (alpha, mask band, all of its bands at nodata) besides the modality's rule.
        collar: black border that also counts as absent.
        clouds: what it does not show as clear also counts as absent; None for everything.
        speckle: filter of the values; None for those of a dataset, which are filtered already.
        finer: pixels of the file on the side of a pixel of the modality, if it is a stack of all bands at 10 m. Their
            means are read.
    """

    path: str
    indexes: tuple[int, ...]
    modality: Modality
    adjustment: Adjustment | None = None
    own_mask: bool = False
    collar: Collar | None = None
    clouds: CloudMask | None = None
    speckle: Speckle | None = dataclasses.field(default=None, metadata=typed.LATER)
    finer: int | None = dataclasses.field(default=None, metadata=typed.LATER)

    def read(self, window: Window, handles: Handles) -> tuple[np.ndarray, np.ndarray]:
        """Reads values `[h, w, bands]` float32 and valid `[h, w]`; the window is on the modality's lattice."""
        if self.finer is not None:
            return block_means(*self._read(window.scale(self.finer), handles), self.finer)
        if self.speckle is None:
            return self._read(window, handles)
        reach = self.speckle.reach
        values, valid = self._read(window.pad(reach), handles)
        core = np.s_[reach:-reach, reach:-reach]
        return filter_speckle(values, valid, self.speckle)[core], valid[core]

    def shape(self, handles: Handles) -> tuple[int, int]:
        """Height and width in pixels of the modality."""
        height, width = handles.get(self.path).shape
        step = self.finer or 1
        return -(-height // step), -(-width // step)

    def _read(self, window: Window, handles: Handles) -> tuple[np.ndarray, np.ndarray]:
        stored, inside = read_window(handles.get(self.path), window, self.indexes)
        valid = inside & self.modality.valid(stored)
        if self.own_mask:
            valid &= read_mask(handles.get(self.path), window, self.indexes)
        if self.collar is not None:
            valid &= ~self.collar.over(window)
        if self.clouds is not None:
            valid &= self.clouds.clear(window, handles)
        return np.where(valid[..., None], self.decode(stored), np.float32(0)), valid

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Converts stored numbers [..., bands] to the float32 values that the network sees."""
        values = self.modality.decode(stored)
        if self.adjustment is None:
            return values
        return values * np.asarray(self.adjustment.gain, np.float32) + np.asarray(self.adjustment.offset, np.float32)


@dataclasses.dataclass(frozen=True)
class ImageLayer:
    """The 1 m image of a scene.

    Attributes:
        path: of the file.
        gain, offset: per band, from stored numbers to the units of the input bands.
        nodata: a pixel is invalid if all bands hold this number; or None. Float pixels are invalid if not finite.
    """

    path: str
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    nodata: float | None = None

    def read(self, window: Window, handles: Handles) -> tuple[np.ndarray, np.ndarray]:
        """Reads a window of the 1 m lattice: values `[h, w, 3]` float32, zero where invalid, and valid `[h, w]`."""
        stored, valid = read_window(handles.get(self.path), window)
        if np.issubdtype(stored.dtype, np.floating):
            valid &= np.isfinite(stored).all(-1)
        elif self.nodata is not None:
            valid &= (stored != self.nodata).any(-1)
        values = stored * np.asarray(self.gain, np.float32) + np.asarray(self.offset, np.float32)
        return np.where(valid[..., None], values, np.float32(0)).astype(np.float32, copy=False), valid


@dataclasses.dataclass(frozen=True)
class Scene:
    """All inputs of a network for one place.

    Attributes:
        name: for messages and file names.
        lattice: the 10 m lattice (or, with `--keep-grid`, the file's own lattice).
        layers: modality name -> one layer per date; an absent modality has no key.
        contract: of the layers.
        image: the true 1 m image, for training and for the control experiment that segments it.
    """

    name: str
    lattice: GeoBox
    layers: Mapping[str, tuple[Layer, ...]]
    contract: Contract
    image: ImageLayer | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in 10 m pixels."""
        height, width = self.lattice.shape
        return int(height), int(width)

    @property
    def masks(self) -> frozenset[pathlib.Path]:
        """The rasters of its masks of cloud."""
        found = (layer.clouds for layers in self.layers.values() for layer in layers)
        return frozenset(pathlib.Path(clouds.path) for clouds in found if clouds is not None)

    @property
    def own_units(self) -> bool:
        """Whether the first modality is in the contract's units, without adjustment or reinterpretation."""
        primary = self.contract.primary
        return all(
            layer.modality.units == primary.units and layer.adjustment is None for layer in self.layers[primary.name]
        )

    @property
    def dates(self) -> int:
        """Length of the date axis of `read`: that of the network's training, or the scene's own if it is longer."""
        return max([self.contract.dates, *(len(layers) for layers in self.layers.values())])

    def first_dates(self, count: int | None) -> "Scene":
        """The scene with its first dates only; None for all."""
        if count is None:
            return self
        return dataclasses.replace(self, layers={name: layers[:count] for name, layers in self.layers.items()})

    def read(self, window: Window, handles: Handles) -> dict[str, dict[str, np.ndarray]]:
        """Reads every modality over a window of the 10 m lattice, which may reach beyond the scene.

        Returns:
            Modality name -> `values` float32 `[dates, h, w, bands]`, zero where invalid, and `valid` bool `[dates, h,
            w]`. An absent modality or date has an all-False mask.
        """
        return {m.name: self.read_modality(m, window, handles) for m in self.contract.modalities}

    def read_modality(self, modality: Modality, window: Window, handles: Handles) -> dict[str, np.ndarray]:
        """One modality of `read`."""
        dates = self.dates
        values = np.zeros((dates, window.height, window.width, len(modality.bands)), np.float32)
        valid = np.zeros((dates, window.height, window.width), bool)
        factor = round(modality.spacing / COARSE_SPACING)
        for date, layer in enumerate(self.layers.get(modality.name, ())):
            if factor == 1:
                values[date], valid[date] = layer.read(window, handles)
            else:
                read = functools.partial(layer.read, handles=handles)
                values[date], valid[date] = interpolate(read, window, factor, layer.shape(handles))
        return {"values": values, "valid": valid}


def in_words(decisions: Mapping[str, str]) -> str:
    """The decisions on a scene for people: "radiometry: contract; s2: offset -1000 (...); bands of s2: B02: band 1"."""

    def name(key: str) -> str:
        what, _, modality = key.partition("_")
        return {"radiometry": modality, "bands": f"bands of {modality}"}.get(what, key) if modality else key

    return "; ".join(f"{name(key)}: {text}" for key, text in decisions.items())


@dataclasses.dataclass(frozen=True)
class OpenedScene:
    """A scene and the decisions made while opening it.

    Attributes:
        scene: ready for reading.
        decisions: how it is decoded, for the product's tags.
        valid: where its first modality is valid, decimated to at most 512 on a side: bool [h, w].
        path: the raster or folder that `open_scene` was given; None if it was given files.
        asked: the arguments of `open_scene` that determine how the scene is read, as text.
        stamps: of the files that were read, see `stamps.stamps_of`; empty if it was given files.
    """

    scene: Scene
    decisions: dict[str, str]
    valid: np.ndarray
    path: pathlib.Path | None = None
    asked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stamps: tuple[tuple[str, int, int], ...] = ()
