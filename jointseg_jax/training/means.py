"""Weighted means that can be taken piece by piece.

A loss over masked pixels is a sum divided by the weight of the whole global batch. Kept apart, sums over pieces of a
batch add up to exactly the loss of the whole: weights come from masks alone, so that those of all pieces are known
before the network runs over the first.
"""

import dataclasses

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, ...]


@dataclasses.dataclass(frozen=True)
class Mean:
    """A weighted mean, or a sum of some.

    Attributes:
        totals: weighted sums, float32 scalars.
        weights: what each is to be divided by, scalars >= 0.
    """

    totals: tuple[jax.Array, ...]
    weights: Weights

    def value(self, whole: Weights | None = None) -> jax.Array:
        """The value, a float32 scalar; where a weight is zero its mean is.

        Args:
            whole: weights of the batch of which this is a piece; then the values of all pieces add up to the batch's.
        """
        pairs = zip(self.totals, self.weights if whole is None else whole, strict=True)
        return sum((t / jnp.where(w > 0, w, 1) for t, w in pairs), jnp.zeros((), jnp.float32))

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(self.totals + other.totals, self.weights + other.weights)

    def __rmul__(self, factor: float) -> "Mean":
        return Mean(tuple(factor * t for t in self.totals), self.weights)


jax.tree_util.register_dataclass(Mean, data_fields=["totals", "weights"], meta_fields=[])


def mean(x: jax.Array, weight: jax.Array) -> Mean:
    """The mean of `x` under weights >= 0 (broadcastable to it) over the whole batch, in float32."""
    weight = jnp.broadcast_to(weight.astype(jnp.float32), x.shape)
    return Mean((jnp.sum(x.astype(jnp.float32) * weight),), (jnp.sum(weight),))
