"""The losses of the adversarial phase: a discriminator, VGG19, or both.

They compare the last stage's image with the true one, whole or in a crop, in standard deviations of the training data.
Unmeasured pixels of the true image are replaced by generated ones, without gradient: the two sides are equal there, and
the masks of the losses leave these pixels out.
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.discriminator import UNetDiscriminator, discriminate
from jointseg_jax.models.jointseg import JointSeg, Outputs
from jointseg_jax.models.resampling import resample
from jointseg_jax.models.vgg import IMAGE_MEAN, IMAGE_STD, vgg19_activations
from jointseg_jax.training.losses import adversarial
from jointseg_jax.training.losses.masked_mean import normalise, weight_like, weighted_sum
from jointseg_jax.training.losses.weighting import ramp

_BANDS = 3


class Views(NamedTuple):
    """The images that discriminator and VGG19 see.

    Attributes:
        real: [b, h, w, 3], the true image in standard deviations about the mean.
        fake: the generated one.
        context: the upsampled input, [b, h, w, 3], or empty, [b, h, w, 0].
        weight: of the pixels, normalised over the whole batch, [b, h, w, 1] float32; 0 where nothing was measured.
    """

    real: jax.Array
    fake: jax.Array
    context: jax.Array
    weight: jax.Array


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """The adversarial phase.

    Attributes:
        net: the discriminator; None with VGG19 only.
        kind: of the adversarial loss, see `adversarial.GAN_KINDS`.
        gan: weight of the adversarial loss.
        feature_matching: weight of the L1 between the discriminator's features.
        perceptual: weight of the perceptual loss.
        layers: VGG19's layers and their weights.
        start: the first step of the phase.
        ramp: steps over which the weights rise from zero.
        sees_input: the discriminator sees the input beside the image (satlas-super-resolution).
        crop: side of the crop in 1 m pixels; 0 for the whole patch.
        seed: of the crops.
        dtype: of VGG19's computation.
    """

    net: UNetDiscriminator | None
    kind: str
    gan: float
    feature_matching: float
    perceptual: float
    layers: tuple[tuple[str, float], ...]
    start: int
    ramp: int
    sees_input: bool
    crop: int
    seed: int
    dtype: Any = jnp.float32

    @property
    def channels(self) -> int:
        """Channels of the discriminator's input."""
        return 2 * _BANDS if self.sees_input else _BANDS

    def weight(self, batch: Mapping[str, Any], step: jax.Array) -> jax.Array:
        """The weights of the pixels in view, normalised over a whole batch: [b, h, w, 1]."""
        return normalise(self._crop(batch["image_valid"][..., None], step))

    def views(
        self, model: JointSeg, outputs: Outputs, batch: Mapping[str, Any], weight: jax.Array, step: jax.Array
    ) -> Views:
        """The views of a batch or of a piece of one.

        Args:
            model: the network.
            outputs: of the network.
            batch: the batch or the piece.
            weight: the part of the whole batch's weights for it.
            step: of training; with the seed it sets the position of the crop, the same for all samples.
        """
        average, std = model.image_statistics()
        fake = (self._crop(outputs.images[-1], step) - average) / std
        measured = (self._crop(batch["image"], step) - average) / std
        real = jnp.where(weight > 0, measured, jax.lax.stop_gradient(fake))
        context = fake[..., :0]
        if self.sees_input:
            upsampled = resample(model.seen_image(batch["inputs"]), Fraction(10), "bicubic")
            context = self._crop(upsampled, step)
        return Views(real, fake, context, weight)

    def _crop(self, x: jax.Array, step: jax.Array) -> jax.Array:
        if not self.crop:
            return x
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        rows, columns = (side - self.crop + 1 for side in x.shape[1:3])
        top, left = jax.random.randint(key, (2,), 0, np.asarray((rows, columns)))
        return jax.lax.dynamic_slice(x, (0, top, left, 0), (x.shape[0], self.crop, self.crop, x.shape[-1]))

    def generator_losses(
        self, params: Mapping[str, Any] | None, vectors: Mapping[str, Any] | None, vgg: Any, seen: Views
    ) -> dict[str, jax.Array]:
        """The losses of the generator.

        Args:
            params: of the discriminator, held fixed by the caller.
            vectors: of its spectral normalisation.
            vgg: parameters of VGG19, where the perceptual loss has a weight.
            seen: real and fake.
        """
        found: dict[str, jax.Array] = {}
        if self.net is not None:
            real, real_features = None, ()
            if self.feature_matching or self.kind == "relativistic":
                real, real_features = self._judge(params, vectors, seen.real, seen.context)
            fake, fake_features = self._judge(params, vectors, seen.fake, seen.context)
            if self.gan:
                found["gan"] = adversarial.generator_gan(real, fake, self.kind, seen.weight)
            if self.feature_matching:
                found["feature_matching"] = adversarial.feature_matching(real_features, fake_features, seen.weight)
        if self.perceptual:
            names = [name for name, _ in self.layers]
            real_seen, fake_seen = (vgg19_activations(vgg, _as_photo(x), names, self.dtype) for x in seen[:2])
            found["perceptual"] = adversarial.perceptual(real_seen, fake_seen, dict(self.layers), seen.weight)
        return found

    def discriminator_loss(
        self, params: Mapping[str, Any], vectors: Mapping[str, Any], seen: Views
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The discriminator's loss, and metrics: the loss, and its mean logits over real and fake; fakes are fixed."""
        fixed = jax.lax.stop_gradient(seen)
        real, _ = self._judge(params, vectors, fixed.real, fixed.context)
        fake, _ = self._judge(params, vectors, fixed.fake, fixed.context)
        loss = adversarial.discriminator_gan(real, fake, self.kind, fixed.weight)
        weight = weight_like(fixed.weight, real)
        means = {"logit_real": weighted_sum(real, weight), "logit_fake": weighted_sum(fake, weight)}
        return loss, {"discriminator": loss, **means}

    def total(self, values: Mapping[str, jax.Array], step: jax.Array) -> jax.Array:
        """The weighted sum of the losses that adds to the generator's objective at a step."""
        weights = {"gan": self.gan, "feature_matching": self.feature_matching, "perceptual": self.perceptual}
        parts = (w * values[name] for name, w in weights.items() if name in values)
        return ramp(step, self.start, self.ramp) * sum(parts, jnp.zeros((), jnp.float32))

    def _judge(self, params: Any, vectors: Any, image: jax.Array, context: jax.Array) -> Any:
        assert self.net is not None
        return discriminate(self.net, params, vectors, jnp.concatenate([image, context], -1))


def _as_photo(x: jax.Array) -> jax.Array:
    """Maps standardised training data to the mean and standard deviation of ImageNet, on which VGG19 was trained."""
    return x * np.asarray(IMAGE_STD, np.float32) + np.asarray(IMAGE_MEAN, np.float32)
