"""A prepared dataset for looking at and for own experiments: its sites, its patches, its rasters."""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from jointseg_jax.api.maps import placed, read_raster
from jointseg_jax.data.dataset import Dataset, Site, load
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window, crop, refine
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.reader import Handles, read_window

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def open_dataset(folder: str | os.PathLike[str], *, split: str | None = None) -> "SiteDataset":
    """Opens a dataset that `jointseg prepare` made.

    Args:
        folder: of the dataset.
        split: "train", "validation" or "test"; None for all of them.

    Raises:
        InputError: it is missing or damaged, or has no patches in the split.
    """
    return SiteDataset(load(folder), split)


class SiteDataset:
    """A prepared dataset; `open_dataset` opens one. `len` is its number of patches."""

    def __init__(self, data: Dataset, split: str | None = None):
        self._data, self._handles = data, Handles()
        self._index = data.index.reset_index(drop=True) if split is None else data.patches(split)

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> "Iterator[Patch]":
        return (self.patch(number) for number in range(len(self)))

    def __repr__(self) -> str:
        inputs = "; ".join(f"{m.name}: {', '.join(m.bands)}" for m in self._data.contract.modalities)
        return (
            f"<jointseg_jax.SiteDataset {str(self.folder)!r}: {len(self)} patches, {len(self.sites)} sites; {inputs}>"
        )

    @property
    def folder(self) -> pathlib.Path:
        """Where it lies."""
        return self._data.root

    @property
    def index(self) -> pd.DataFrame:
        """One row per patch: site, region, split, date, place (10 m pixels), shares of impervious and valid ground."""
        return self._index.copy()

    @property
    def sites(self) -> pd.DataFrame:
        """One row per site, by name: region, date, split, CRS, corner and sides in metres, folder.

        The folder can be given to `Network.predict`.
        """
        chosen = [self._data.sites[name] for name in dict.fromkeys(self._index["site"])]
        rows = [self._row(site) for site in chosen]
        return pd.DataFrame(rows, index=pd.Index([site.name for site in chosen], name="site"))

    def _row(self, site: Site) -> dict[str, Any]:
        splits = sorted(name for name, pixels in site.pixels.items() if pixels)
        return {
            "region": site.region, "date": site.date, "split": ", ".join(splits), "crs": site.crs, "left": site.left,
            "top": site.top, "width": 10 * site.width, "height": 10 * site.height,
            "folder": self.folder / site.folder,
        }  # fmt: skip

    def patch(self, number: int) -> "Patch":
        """Reads a patch.

        Args:
            number: from 0, in the order of `index`; negative ones count from the end.

        Raises:
            InputError: there is no such patch, or its rasters are damaged.
        """
        if not -len(self) <= number < len(self):
            raise InputError(f"patch {number} does not exist: {self.folder} has the patches 0 to {len(self) - 1}")
        row = self._index.iloc[number]
        site, scene = self._data.sites[row["site"]], self._data.scene(row["site"])
        window = Window(*(int(row[name]) for name in ("row", "col", "height", "width")))
        fine = window.scale(FINE_FACTOR)
        coarse_lattice = crop(scene.lattice, window)
        fine_lattice = refine(coarse_lattice, FINE_FACTOR)
        layers: dict[str, xr.DataArray] = {}
        for modality, read in zip(
            self._data.contract.modalities, scene.read(window, self._handles).values(), strict=True
        ):
            values = np.where(read["valid"][..., None], read["values"], np.float32(np.nan))
            layers[modality.name] = placed(
                np.moveaxis(values, -1, 1), ("date", "band", "y", "x"), coarse_lattice,
                {"band": list(modality.bands)}, modality.name,
            ).assign_attrs(units=modality.units)  # fmt: skip
        assert scene.image is not None
        image, valid = scene.image.read(fine, self._handles)
        values = np.moveaxis(np.where(valid[..., None], image, np.float32(np.nan)), -1, 0)
        bands = {"band": list(self._data.contract.image_bands)}
        layers["image"] = placed(values, ("band", "y", "x"), fine_lattice, bands, "image").assign_attrs(
            units=self._data.contract.primary.units
        )
        label, _ = read_window(self._handles.get(str(self.folder / site.label)), fine)
        layers["label"] = placed(label[..., 0], ("y", "x"), fine_lattice, {}, "label").assign_attrs(
            long_name=self._data.contract.label, _FillValue=np.uint8(IGNORE)
        )
        return Patch(number % len(self), site.name, str(row["split"]), layers, self._data.contract.image_index)

    def raster(self, site: str, name: str) -> xr.DataArray:
        """A whole raster of a site as stored, read when it is used.

        Args:
            site: name of the site.
            name: of a modality, "image", "label" or "split"; of several dates such as `s2_1`.

        Raises:
            InputError: there is no such site or raster.
        """
        if site not in self._data.sites:
            raise InputError(f"{self.folder} has no site {site!r}: it has {', '.join(self._data.sites)}")
        found = {pathlib.PurePosixPath(path).stem: path for path in self._data.sites[site].paths}
        if name not in found:
            raise InputError(f"site {site} has no raster {name!r}: it has {', '.join(sorted(found))}")
        return read_raster(self.folder / found[name])


class Patch(Mapping[str, xr.DataArray]):
    """The arrays of a patch by name; `SiteDataset.patch` reads one.

    Each modality is float32 `(date, band, y, x)` on the 10 m lattice, in its units, NaN where unknown. `image` is
    float32 `(band, y, x)` at 1 m, NaN where unknown; `label` uint8 `(y, x)` at 1 m: 0, 1, 255 unknown.

    Attributes:
        number: in the dataset.
        site: name of its site.
        split: "train", "validation" or "test".
    """

    def __init__(
        self, number: int, site: str, split: str, layers: dict[str, xr.DataArray], image_index: tuple[int, ...]
    ):
        self.number, self.site, self.split = number, site, split
        self._layers, self._image_index = layers, image_index

    def __getitem__(self, name: str) -> xr.DataArray:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(layer.shape)}" for name, layer in self.items())
        return f"<jointseg_jax.Patch {self.number} of site {self.site!r} ({self.split}): {shapes}>"

    def plot(self) -> "Figure":
        """Draws the input, the 1 m image and the label side by side, and returns the figure.

        In a notebook the figure is shown as the value of the cell. Input and image share one stretch.
        """
        from matplotlib.figure import Figure  # not pyplot: no state is left behind

        first = next(iter(self._layers.values()))
        coarse = np.moveaxis(first.values[0][list(self._image_index)], 0, -1)
        fine, label = np.moveaxis(self["image"].values, 0, -1), self["label"].values
        seen, known = np.isfinite(coarse).all(-1), np.isfinite(fine).all(-1)
        shown = fine if known.any() else coarse
        limits = drawing.stretch_limits(np.nan_to_num(shown), known if known.any() else seen)
        pictures = {
            f"{first.name}, 10 m": drawing.stretch(np.nan_to_num(coarse), limits, seen),
            "image, 1 m": drawing.stretch(np.nan_to_num(fine), limits, known),
            f"{self['label'].attrs['long_name']}, 1 m": drawing.colour_classes(label),
        }
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        x, y = self["label"]["x"].values, self["label"]["y"].values
        for axes, (title, picture) in zip(
            figure.subplots(1, 3, sharex=True, sharey=True), pictures.items(), strict=True
        ):
            axes.imshow(picture, extent=(x[0] - 0.5, x[-1] + 0.5, y[-1] - 0.5, y[0] + 0.5), interpolation="nearest")
            axes.set_title(title)
            axes.ticklabel_format(useOffset=False, style="plain")
            axes.locator_params(nbins=3)
        figure.suptitle(f"patch {self.number} of {self.site} ({self.split})")
        return figure

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td>{', '.join(f'{d} {n}' for d, n in layer.sizes.items())}</td></tr>"
            for name, layer in self.items()
        )
        return f"<p>patch {self.number} of site {self.site} ({self.split})</p><table>{rows}</table>"
