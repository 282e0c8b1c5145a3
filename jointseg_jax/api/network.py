"""A trained network that maps files and arrays."""

import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tqdm
import xarray as xr

from jointseg_jax.api import maps
from jointseg_jax.api.given_array import write_given
from jointseg_jax.api.python_words import python_words
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.in_memory import map_in_memory
from jointseg_jax.mapping.scene_map import map_scene, tile_bar
from jointseg_jax.mapping.scenes.find import is_single, single_files
from jointseg_jax.rasters.cloud_choice import CloudChoice
from jointseg_jax.rasters.clouds import ClearRule
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.remote import path_of
from jointseg_jax.rasters.scene import OpenedScene
from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
from jointseg_jax.training.trained import Trained, load_trained

_CLEAR = (4, 5, 6, 7)


def load(network: str | os.PathLike[str], *, checkpoint: str | int = "best", weights: str = "ema") -> "Network":
    """Loads a trained network.

    Args:
        network: folder of a training run or of an exported network, or the name of a shipped one.
        checkpoint: "best" (by validation F1), "latest", or a step.
        weights: "ema" (moving average) or "raw".

    Raises:
        InputError: there is no such network or checkpoint.
    """
    use_compilation_cache()
    return Network(load_trained(network, checkpoint=str(checkpoint), weights=weights))


class Network:
    """A trained network; `load` makes one."""

    def __init__(self, trained: Trained):
        self._trained = trained

    def __repr__(self) -> str:
        inputs = "; ".join(f"{name}: {', '.join(bands)}" for name, bands in self.inputs.items())
        return f"<jointseg_jax.Network {self.name!r}, step {self.step}: {inputs} -> {self.label} at 1 m>"

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self._trained.name

    @property
    def step(self) -> int:
        """Training step of the weights."""
        return self._trained.step

    @property
    def label(self) -> str:
        """What class 1 means."""
        return self._trained.meta.contract.label

    @property
    def threshold(self) -> float:
        """Least probability of class 1, chosen on the validation split."""
        return float(self._trained.meta.calibration.threshold)

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Names of the bands that it needs, by modality; the first modality is the one that arrays hold."""
        return {modality.name: modality.bands for modality in self._trained.meta.contract.modalities}

    @property
    def units(self) -> dict[str, str]:
        """Units of each modality: reflectance, display (8 bits), dB, m or index."""
        return {modality.name: modality.units for modality in self._trained.meta.contract.modalities}

    def predict(
        self,
        scene: str | os.PathLike[str] | np.ndarray | xr.DataArray,
        *,
        transform: Any = None,
        crs: Any = None,
        bands: Sequence[str] | Sequence[int] | None = None,
        nodata: float | None = None,
        scale: float | None = None,
        offset: float | None = None,
        output: str | os.PathLike[str] | None = None,
        image: bool = True,
        radiometry: str = "contract",
        keep_grid: bool = False,
        cloud: str = "auto",
        clear: Sequence[int] = _CLEAR,
        cloud_buffer: float = 0.0,
        dates: int | None = None,
        augment: bool = False,
        confidence: bool = False,
        support: bool = False,
        uncertainty: bool = False,
        tile: int = 64,
        batch: int | None = None,
        dtype: str | None = None,
        progress: bool = True,
    ) -> xr.Dataset:
        """Maps one scene.

        The map is that of `jointseg predict`, to the bit, also in its rounding: probabilities are multiples of 1/200,
        and the image has the steps of the input's numbers.

        Args:
            scene: a path or address as for `jointseg predict --input`; an array `[bands, height, width]` of the first
                modality; or a `DataArray` of rioxarray, which knows its transform, CRS, nodata and band names.
            transform: of an array: `affine.Affine` or its six numbers. Without it and `crs`, pixels are taken as 10 m
                wide, and the map begins at x = y = 0.
            crs: of an array: "EPSG:32650", its number or an object.
            bands: names of an array's bands; by default those of the network in its order (`inputs`). Of a file the
                numbers, from 1, of the network's bands, if the file does not name them.
            nodata: number of an array that marks absence. Reflectance of 0 and NaN are absent in any case.
            scale: of an array's numbers, as in the header of a GeoTIFF: value = number * scale + offset.
            offset: of an array's values.
            output: folder for the files that `jointseg predict` writes; the result is then read from them when used.
            image: whether to return the super-resolved image, too.
            radiometry: "contract", "display", "harmonise" or "any-composite", see docs/mapping.md.
            keep_grid: map on the scene's own grid with ten times smaller pixels, whatever its CRS and pixel size.
            cloud: mask of cloud: "auto", "none" or a file.
            clear: codes of the mask that are clear.
            cloud_buffer: metres around cloud and shadow that are masked too.
            dates: use only so many dates, the first ones.
            augment: average over eight flips and turns, at eight times the cost.
            confidence: return the agreement of the eight, 0..1; needs `augment` and a measurement.
            support: return how much of the image's detail is measured, 0..1.
            uncertainty: write sets and intervals; needs `output`, whose layers at 10 m `read_map` reads.
            tile: side of a window in input pixels; changes speed and memory alone.
            batch: windows at once; changes speed and memory alone.
            dtype: "float32" or "bfloat16"; by default that of the training.
            progress: whether to show a bar, and with `output` the lines of `jointseg predict`.

        Returns:
            `impervious` uint8 `(y, x)`: 0, 1, and 255 where unknown; `probability` float32 `(y, x)` and, if the network
            makes one, `image` float32 `(band, y, x)` in units of the input, NaN where unknown; `confidence`, `support`
            and `set` as asked. `x` and `y` are the centres of 1 m pixels, `.rio.crs` and `.rio.transform()` those of
            the scene at 1 m. The attributes say how the scene was read and which network mapped it.

        Raises:
            InputError: the scene breaks the network's contract or cannot be read, an argument cannot be used, or the
                result takes more than half of the memory, which is found before it is computed.
        """
        if uncertainty and output is None:
            raise InputError("uncertainty=True writes layers at 10 m, too: give a folder for all of them (output=...)")
        of_array = {"transform": transform, "crs": crs, "nodata": nodata, "scale": scale, "offset": offset}
        clouds = CloudChoice(cloud, ClearRule(tuple(clear), float(cloud_buffer)))
        options: dict[str, Any] = {"tile": tile, "batch": batch, "augment": augment, "dtype": dtype, "image": image}
        options |= {"confidence": confidence, "support": support}
        with tempfile.TemporaryDirectory(prefix="jointseg-") as scratch:
            opened = self._open(scene, pathlib.Path(scratch), of_array, bands, radiometry, keep_grid, dates, clouds)
            if output is None:
                return self._in_memory(opened, options, progress)
            say = print if progress else _nothing
            map_scene(self._trained, opened, output, uncertainty=uncertainty, say=say, **options)
        return maps.read_map(output)

    def _open(
        self,
        scene: Any,
        folder: pathlib.Path,
        of_array: dict[str, Any],
        bands: Sequence[str] | Sequence[int] | None,
        radiometry: str,
        keep_grid: bool,
        dates: int | None,
        clouds: CloudChoice,
    ) -> OpenedScene:
        """Opens the scene; `folder` receives an array as a file."""
        contract, is_file = self._trained.meta.contract, isinstance(scene, str | os.PathLike)
        numbers: tuple[int, ...] = ()
        if is_file:
            _only_of_arrays(**of_array)
            path, numbers = path_of(scene), _numbers(bands)
            self._check_single(path)
        else:
            path = write_given(folder, scene, contract.primary, bands=bands, **of_array)
            keep_grid = keep_grid or _without_place(scene, of_array["crs"])
        with python_words(None if is_file else path):
            return open_scene(
                path, contract, mode=radiometry, keep_grid=keep_grid, bands=numbers,
                files=single_files(path, contract, folder), dates=dates, clouds=clouds,
            )  # fmt: skip

    def _in_memory(self, opened: OpenedScene, options: dict[str, Any], progress: bool) -> xr.Dataset:
        with tile_bar(shown=progress) as advance:
            return maps.in_memory(map_in_memory(self._trained, opened, advance=advance, say=_say(progress), **options))

    def _check_single(self, path: pathlib.Path) -> None:
        if not is_single(str(path), self._trained.meta.contract):
            raise InputError(
                f"{path} holds several scenes, and predict maps one: give one of them, or map the area with "
                f"`jointseg predict --workdir={self._trained.workdir} --input={path} --output=DIR` and read_map(DIR)"
            )


def _nothing(line: str) -> None:
    """Says nothing."""


def _say(progress: bool) -> Callable[[str], None]:
    return tqdm.tqdm.write if progress else _nothing


def _only_of_arrays(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}={value!r} describes an array, but a file states its own: remove {name}")


def _numbers(bands: Sequence[str] | Sequence[int] | None) -> tuple[int, ...]:
    if bands is None:
        return ()
    if not all(isinstance(band, int | np.integer) for band in bands):
        raise InputError(f"bands={tuple(bands)} of a file must be their numbers from 1, such as (3, 2, 1)")
    return tuple(int(band) for band in bands)


def _without_place(scene: Any, crs: Any) -> bool:
    return crs is None and (not isinstance(scene, xr.DataArray) or scene.rio.crs is None)
