"""Explains non-finite output of a network: bad input values, or bad weights."""

from collections.abc import Mapping

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.lattice import Window

_FAR = 1e4  # training deviations from the mean; bright roofs and clouds lie within some tens


def explain(
    name: str, inputs: Mapping[str, Mapping[str, np.ndarray]], contract: Contract, window: Window, network: str
) -> InputError:
    """Builds the error to raise.

    Args:
        name: of the scene.
        inputs: the network's input around the window, modality -> `values` and `valid`.
        contract: with the training statistics.
        window: of the result.
        network: work directory and step, as text.
    """
    place = f"near row {window.row}, column {window.col}"
    for modality in contract.modalities:
        values = inputs[modality.name]["values"]
        mean, std = modality.normalisation()
        far = inputs[modality.name]["valid"][..., None] & (np.abs(values - mean) > _FAR * std)
        if far.any():
            worst = np.unravel_index(np.argmax(np.where(far, np.abs(values), 0)), values.shape)
            band = modality.bands[int(worst[-1])]
            return InputError(
                f"scene {name} has the value {float(values[worst]):.4g} ({modality.units}) in band {band} of modality "
                f"{modality.name!r} {place}, which is too far from the training mean "
                f"{float(mean[worst[-1]]):.4g} for the network: correct the raster, or set such pixels to nodata"
            )
    return InputError(
        f"the network of {network}, computes values that are not finite {place} of {name}: choose another --checkpoint"
    )
