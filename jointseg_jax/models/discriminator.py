"""The U-Net discriminator of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833), and its spectral normalisation.

Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957) divides a kernel by its largest singular value, which
power iteration tracks from step to step. The vectors of the iteration receive no gradient and are not parameters of the
optimiser. They form a separate tree, which `power_iteration` advances once per training step.
"""

from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import Conv, default_init, leaky_relu
from jointseg_jax.models.resampling import resample

SIDE_MULTIPLE = 8  # three halvings
_COLLECTION = "spectral"
_FIRST_ITERATIONS = 15  # as PyTorch's torch.nn.utils.parametrizations.spectral_norm does before the first step
_EPSILON = 1e-12  # PyTorch's lower bound of a vector norm

Params = dict[str, dict[str, jax.Array]]
Vectors = dict[str, dict[str, jax.Array]]


class UNetDiscriminator(nn.Module):
    """Gives one logit per pixel for "this pixel is real".

    4,376,897 parameters for 64 features and 3 channels.

    Attributes:
        features: channels at full resolution; doubled by each of three halvings.
        dtype: of the computation; parameters, singular values and logits are float32.
    """

    features: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Runs the network.

        Args:
            x: [b, h, w, channels], an image, or an image with its condition; sides divisible by 8.

        Returns:
            Logits [b, h, w, 1] float32, and for feature matching the output of each convolution but the last, after
            LeakyReLU and before skips: nine arrays, on lattices of 1, 2, 4, 8, 4, 2, 1, 1, 1 pixels.

        Raises:
            ValueError: the sides are not multiples of 8.
        """
        height, width = x.shape[1:3]
        if height % SIDE_MULTIPLE or width % SIDE_MULTIPLE:
            raise ValueError(
                f"the discriminator halves its input three times: use sides that are multiples of {SIDE_MULTIPLE}, "
                f"not {height} x {width}"
            )
        f, seen = self.features, []

        def layer(number: int, x: jax.Array, features: int, stride: int = 1) -> jax.Array:
            convolution = SpectralConv(features, 3 if stride == 1 else 4, stride, self.dtype, name=f"conv{number}")
            seen.append(leaky_relu(convolution(x)))
            return seen[-1]

        x0 = leaky_relu(Conv(f, dtype=self.dtype, name="conv0")(x))
        seen.append(x0)
        x1 = layer(1, x0, 2 * f, stride=2)
        x2 = layer(2, x1, 4 * f, stride=2)
        x3 = layer(3, x2, 8 * f, stride=2)
        x4 = layer(4, resample(x3, 2), 4 * f) + x2
        x5 = layer(5, resample(x4, 2), 2 * f) + x1
        x6 = layer(6, resample(x5, 2), f) + x0
        x8 = layer(8, layer(7, x6, f), f)
        return Conv(1, name="conv9")(x8), tuple(seen)


class SpectralConv(nn.Module):
    """A convolution without bias; its kernel is divided by its largest singular value, in float32.

    Its vectors u [features] and v [size * size * c] are variables of the collection "spectral".
    """

    features: int
    size: int = 3
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h / stride, w / stride, features]."""
        kernel = self.param("kernel", default_init, (self.size, self.size, x.shape[-1], self.features), jnp.float32)
        u = self.variable(_COLLECTION, "u", _level, self.features).value
        v = self.variable(_COLLECTION, "v", _level, self.size**2 * x.shape[-1]).value
        normal = kernel / spectral_norm(kernel, u, v)
        return _convolve(x.astype(self.dtype), normal.astype(self.dtype), self.stride)


def spectral_norm(kernel: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """The largest singular value of a kernel [h, w, in, out], from its singular vectors u [out] and v [h * w * in].

    The kernel is reshaped to the matrix output channels x rest, as in PyTorch, where v is permuted because input
    channels come first. The gradient passes through the kernel; the vectors are constants.
    """
    u, v = jax.lax.stop_gradient(u), jax.lax.stop_gradient(v)
    return _product(_product(v, _matrix(kernel)), u)


def power_iteration(params: Mapping[str, Any], vectors: Mapping[str, Mapping[str, jax.Array]]) -> Vectors:
    """One step towards the singular vectors of all normalised kernels, in float32; called once per training step.

    Args:
        params: of the discriminator.
        vectors: {layer: {"u": [out], "v": [h * w * in]}}, unit vectors.
    """
    advanced = {}
    for name, pair in vectors.items():
        matrix = jax.lax.stop_gradient(_matrix(params[name]["kernel"]))
        v = _unit(_product(matrix, jax.lax.stop_gradient(pair["u"])))
        advanced[name] = {"u": _unit(_product(v, matrix)), "v": v}
    return advanced


def init_discriminator(net: UNetDiscriminator, key: jax.Array, channels: int = 3) -> tuple[Params, Vectors]:
    """Fresh parameters, and vectors already close to the singular vectors of the kernels.

    Args:
        net: the discriminator.
        key: for the parameters.
        channels: of its input: 3, or more if it is conditioned.
    """
    variables = net.init(key, jnp.zeros((1, SIDE_MULTIPLE, SIDE_MULTIPLE, channels)))
    params, vectors = variables["params"], variables[_COLLECTION]
    vectors = jax.lax.fori_loop(0, _FIRST_ITERATIONS, lambda _, v: power_iteration(params, v), vectors)
    return cast(Params, params), cast(Vectors, vectors)


def discriminate(
    net: UNetDiscriminator, params: Mapping[str, Any], vectors: Mapping[str, Any], x: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The discriminator as a pure function; see `UNetDiscriminator.__call__`. It does not change the vectors."""
    return cast(
        tuple[jax.Array, tuple[jax.Array, ...]],
        net.apply({"params": params, _COLLECTION: vectors}, x),
    )


def _matrix(kernel: jax.Array) -> jax.Array:
    """[h, w, in, out] -> [h * w * in, out] float32: the transpose of PyTorch's, rows in another order."""
    return kernel.astype(jnp.float32).reshape(-1, kernel.shape[-1])


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    # The default precision of accelerators would round the kernel to 10 bits or fewer.
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def _level(length: int) -> jax.Array:
    # Kernels are random, so a fixed start is as good as a random one, and XLA takes seconds for every draw.
    return jnp.full((length,), length**-0.5, jnp.float32)


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), _EPSILON)


def _convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolution with padding 1: a 3 x 3 kernel keeps the size, a 4 x 4 kernel with stride 2 halves it."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
