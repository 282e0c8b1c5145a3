"""Layers of sites that are no plain rasters: products as .SAFE or archive, folders of band files, STAC items."""

import dataclasses
import pathlib

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.clouds import CloudFile
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.sources.acquisition import Acquisition, stack
from jointseg_jax.sources.band_files import group, rasters_in
from jointseg_jax.sources.safe import is_safe, read_safe
from jointseg_jax.sources.stac import StacScene
from jointseg_jax.sources.stac_items import is_stac, read_items


@dataclasses.dataclass(frozen=True)
class LayerFile:
    """A layer as one raster.

    Attributes:
        path: of the raster; of a virtual one for the bands of an acquisition.
        mask: the scene classification of the acquisition; None without one.
        product: name of the acquisition; empty for a plain raster.
        date: of the acquisition, see `dates.iso_moment`; empty for a plain raster.
    """

    path: pathlib.Path
    mask: CloudFile | None = None
    product: str = ""
    date: str = ""


def open_layer(path: pathlib.Path, modality: Modality, folder: pathlib.Path) -> LayerFile:
    """The raster of a layer, and what its acquisition tells.

    Args:
        path: a raster, a product, a folder with one file per band, or the file or address of a STAC item.
        modality: of the layer.
        folder: for virtual rasters.

    Raises:
        InputError: the product or the folder does not hold one scene with the modality's bands.
    """
    found = acquisition_of(path, modality)
    return LayerFile(path) if found is None else stacked(found, modality, folder)


def acquisition_of(path: pathlib.Path, modality: Modality) -> Acquisition | None:
    """The acquisition of a product, a STAC item, or a folder with one file per band of a modality; None for a raster.

    Raises:
        InputError: see `open_layer`.
    """
    if is_stac(path):
        return _only_item(path)
    if remote.is_remote(path):
        return None
    if is_safe(path):
        return read_safe(path)
    if not path.is_dir():
        return None
    scenes, _ = group(rasters_in(path), modality)
    if len(scenes) != 1:
        raise InputError(
            f"{path} holds {len(scenes) or 'no'} scenes with one file for each of the bands {list(modality.bands)} of "
            f"modality {modality.name!r}: give a folder with one, a raster, or a product (.SAFE)"
        )
    return scenes[0]


def _only_item(path: pathlib.Path) -> Acquisition:
    items = read_items(path)
    if len(items) != 1:
        raise InputError(f"{path} holds {len(items)} STAC items: give the file of one as a layer of a site")
    return StacScene(items[0])


def stacked(found: Acquisition, modality: Modality, folder: pathlib.Path) -> LayerFile:
    """A modality of an acquisition as a virtual raster in a folder; raises `InputError` if it lacks a band."""
    (path,) = stack(found, (modality,), folder)[modality.name]
    classes = found.classification()
    return LayerFile(path, None if classes is None else CloudFile(classes), found.id, found.date)
