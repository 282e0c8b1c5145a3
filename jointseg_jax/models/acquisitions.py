"""Several acquisitions of the same ground as a set: any number, in any order, any of them absent anywhere.

Every date goes through the same convolutions, together with the mean of all, and attention over the dates of each
10 m pixel joins them. Comparing each date with the common reference follows HighRes-net (Deudon et al. 2020,
arXiv 2002.06460); masked attention instead of its recursive fusion is ours.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import Conv, leaky_relu

_ABSENT = -1e9


def mean_of_dates(values: jax.Array, valid: jax.Array) -> jax.Array:
    """Mean over the valid dates, 0 where there is none: [b, dates, h, w, c], [b, dates, h, w, 1] -> [b, h, w, c]."""
    return (values * valid).sum(1) / jnp.maximum(valid.sum(1), 1)


class AcquisitionEncoder(nn.Module):
    """Features of a set of acquisitions.

    Attributes:
        features: channels.
        dtype: of the convolutions.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, values: jax.Array, valid: jax.Array) -> jax.Array:
        """[b, dates, h, w, c], zero where invalid, and [b, dates, h, w, 1] -> [b, h, w, features]."""
        b, dates, h, w, c = values.shape
        mean = jnp.broadcast_to(mean_of_dates(values, valid)[:, None], values.shape)
        x = jnp.concatenate([values, mean, valid], axis=-1).reshape(b * dates, h, w, 2 * c + 1)
        x = leaky_relu(Conv(self.features, dtype=self.dtype, name="conv1")(x))
        x = leaky_relu(Conv(self.features, dtype=self.dtype, name="conv2")(x))
        score = Conv(1, size=1, dtype=jnp.float32, name="score")(x).reshape(b, dates, h, w, 1)
        share = jax.nn.softmax(jnp.where(valid > 0, score, _ABSENT), axis=1) * valid
        return (x.reshape(b, dates, h, w, self.features) * share.astype(x.dtype)).sum(1)
