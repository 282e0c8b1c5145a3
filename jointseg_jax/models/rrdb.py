"""Residual-in-residual dense blocks, the trunk of ESRGAN (Wang et al. 2018, arXiv 1809.00219; BasicSR's RRDBNet)."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import conv2d, leaky_relu

REMAT = ("none", "blocks", "dense")
DENSE_CONVS = 5
DENSE_BLOCKS = 3  # residual dense blocks in one RRDB
RESIDUAL_SCALE = 0.2
# ESRGAN initialises its dense convolutions with a tenth of the Kaiming standard deviation.
dense_init = nn.initializers.variance_scaling(2.0 * 0.1**2, "fan_in", "normal")


class Trunk(nn.Module):
    """A chain of RRDBs with the parameters of all blocks stacked on a leading axis.

    The parameter tree is the same for scanned and unrolled blocks, so one checkpoint serves both. A scan keeps
    compilation short on accelerators; on CPUs XLA runs convolutions in a loop several times slower.

    Attributes:
        blocks: number of RRDBs (23 in ESRGAN).
        features: channels of the trunk (64).
        growth: channels each dense convolution adds (32).
        scan: loops over the blocks instead of unrolling them; None decides by platform.
        remat: what the backward pass recomputes instead of storing: "none"; "blocks", the inside of each RRDB (least
            memory between blocks, most within one); "dense", the inside of each of its dense blocks.
        dtype: of the computation; parameters stay float32.
    """

    blocks: int
    features: int
    growth: int
    scan: bool | None = None
    remat: str = "none"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, features] -> [b, h, w, features]."""
        if self.blocks == 0:
            return x
        params = {}
        for i in range(DENSE_CONVS):
            inputs = self.features + i * self.growth
            outputs = self.growth if i < DENSE_CONVS - 1 else self.features
            kernel = self.param(
                f"kernel{i + 1}", _stacked_init, (self.blocks, DENSE_BLOCKS, 3, 3, inputs, outputs), jnp.float32
            )
            bias = self.param(f"bias{i + 1}", nn.initializers.zeros, (self.blocks, DENSE_BLOCKS, outputs), jnp.float32)
            params[f"kernel{i + 1}"], params[f"bias{i + 1}"] = kernel.astype(self.dtype), bias.astype(self.dtype)
        inner = jax.checkpoint(dense_block) if self.remat == "dense" else dense_block
        plain = functools.partial(rrdb, dense=inner)
        block = jax.checkpoint(plain) if self.remat == "blocks" else plain
        x = x.astype(self.dtype)
        scan = jax.default_backend() != "cpu" if self.scan is None else self.scan
        if scan:
            return jax.lax.scan(lambda carry, p: (block(p, carry), None), x, params)[0]
        for i in range(self.blocks):
            x = block(jax.tree.map(lambda p, i=i: p[i], params), x)
        return x


def _stacked_init(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """`dense_init` for each convolution of a stack [blocks, dense blocks, 3, 3, in, out].

    The fan is that of one convolution.
    """
    stack = shape[:2]
    keys = jax.random.split(key, stack[0] * stack[1])
    return jax.vmap(lambda k: dense_init(k, shape[2:], dtype))(keys).reshape(shape)


def rrdb(
    params: dict[str, jax.Array], x: jax.Array, dense: Callable[[dict[str, jax.Array], jax.Array], jax.Array]
) -> jax.Array:
    """One RRDB.

    params: kernels [3, 3, 3, in, out] and biases [3, out] of its three dense blocks; x: [b, h, w, features];
    dense: runs one of them, as `dense_block` does.
    """
    y = x
    for i in range(DENSE_BLOCKS):
        y = dense(jax.tree.map(lambda p, i=i: p[i], params), y)
    return x + y * RESIDUAL_SCALE


def dense_block(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """One residual dense block: each convolution sees the input and all outputs before it. x: [b, h, w, features]."""
    seen = x
    for i in range(1, DENSE_CONVS):
        y = leaky_relu(conv2d(seen, params[f"kernel{i}"], params[f"bias{i}"]))
        seen = jnp.concatenate([seen, y], axis=-1)
    return x + conv2d(seen, params[f"kernel{DENSE_CONVS}"], params[f"bias{DENSE_CONVS}"]) * RESIDUAL_SCALE
