"""The training state as one pytree."""

from typing import Any

import flax.struct
import jax

from jointseg_jax.models.jointseg import Params


@flax.struct.dataclass
class TrainState:
    """All arrays that training changes.

    Attributes:
        step: int32, attempted updates; the position in the data and the seed of each step's randomness.
        params: {"sr": {"stage1": ...}, "seg": ...}, float32; "disc" if there is a discriminator, "loss" if the
            objective learns log variances.
        ema: exponential moving average of "sr" and "seg", used for validation and mapping.
        opt: optimiser states, {"generator": ..., "disc": ...}.
        aux: other state: "disc_sn", the vectors of the discriminator's spectral normalisation.
        skipped: int32, skipped non-finite updates, which change only the counters.
        streak: int32, length of the current series of skipped updates.
    """

    step: jax.Array
    params: Params
    ema: Params
    opt: dict[str, Any]
    aux: dict[str, Any]
    skipped: jax.Array
    streak: jax.Array
