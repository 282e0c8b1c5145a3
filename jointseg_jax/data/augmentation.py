"""Augments training samples: flips and quarter turns, and a random gain."""

import numpy as np

from jointseg_jax.data.patches import Sample
from jointseg_jax.rasters.contract import Contract


def dihedral(sample: Sample, turns: int, flip: bool) -> Sample:
    """Rotates all rasters of a sample by `turns` right angles and, with `flip`, mirrors them."""

    def turn(x: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
        x = np.rot90(x, turns, axes=axes)
        return np.ascontiguousarray(np.flip(x, axes[1]) if flip else x)

    turned = dict(sample)
    turned["inputs"] = {
        name: {k: turn(v, (1, 2)) for k, v in parts.items()} for name, parts in sample["inputs"].items()
    }
    for key in ("image", "image_valid", "label"):
        turned[key] = turn(sample[key], (0, 1))
    return turned


def jitter(sample: Sample, contract: Contract, amount: float, rng: np.random.Generator) -> Sample:
    """Scales the first modality and the image, to simulate changes of sun, haze or stretch.

    A band's gain is exp(amount * (z + z_band / 3)), with a standard normal z common to all bands and dates: brightness
    changes more than colour. Image and input bands get the same gain, so the super-resolution task is unchanged.

    Args:
        sample: from a reader.
        contract: its contract.
        amount: standard deviation of the logarithm of the gain.
        rng: of the sample.
    """
    primary = contract.primary
    gain = np.exp(amount * (rng.standard_normal() + rng.standard_normal(len(primary.bands)) / 3)).astype(np.float32)
    seen = sample["inputs"][primary.name]
    return {
        **sample,
        "inputs": {**sample["inputs"], primary.name: {**seen, "values": seen["values"] * gain}},
        "image": sample["image"] * gain[list(contract.image_index)],
    }
