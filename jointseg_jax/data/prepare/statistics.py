"""Computes statistics of the inputs over the training ground, to normalise them and to detect scenes in other units."""

import dataclasses

import numpy as np

from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract, Statistics
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, open_raster, read_window

_SAMPLE = 200_000  # pixels kept per site and band for the percentiles
_MIN_STD = 1e-6


def over_training(dataset: Dataset) -> Contract:
    """The dataset's contract with statistics of every modality over the valid pixels of the training ground.

    Mean and standard deviation use all pixels, percentiles an evenly spaced sample. A constant band gets a standard
    deviation of 1, so it normalises to zero. A dataset without training ground, which only serves evaluation, gets no
    statistics.

    Raises:
        InputError: a modality has no valid training pixel.
    """
    if not any(site.pixels.get("train") for site in dataset.sites.values()):
        return dataset.contract
    handles = Handles()
    modalities = []
    for modality in dataset.contract.modalities:
        n = round(modality.spacing / COARSE_SPACING)
        count, total, square, samples = 0, 0.0, 0.0, []
        for site in dataset.sites_of("train"):
            with open_raster(dataset.root / site.split) as raster:
                ground = read_window(raster, Window(0, 0, site.height, site.width))[0][::n, ::n, 0] == CODES["train"]
            for layer in dataset.scene(site.name).layers.get(modality.name, ()):
                values, valid = layer.read(Window(0, 0, site.height // n, site.width // n), handles)
                pixels = values[valid & ground[: valid.shape[0], : valid.shape[1]]].astype(np.float64)
                count += len(pixels)
                total = total + pixels.sum(0)
                square = square + (pixels**2).sum(0)
                samples.append(pixels[:: max(1, len(pixels) // _SAMPLE)])
        if not count:
            raise InputError(
                f"modality {modality.name!r} has no valid pixel on the ground of split 'train': check its nodata "
                "value and the cloud mask"
            )
        mean = total / count
        std = np.sqrt(np.maximum(square / count - mean**2, 0))
        low, high = np.percentile(np.concatenate(samples), (0.1, 99.9), axis=0)
        found = np.stack([mean, np.where(std > _MIN_STD, std, 1.0), low, high]).round(8).tolist()
        modalities.append(dataclasses.replace(modality, statistics=Statistics(*(tuple(row) for row in found))))
    handles.close()
    return dataset.contract.replace(modalities=tuple(modalities))
