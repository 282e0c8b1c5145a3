"""What looks at the images in the adversarial phase: a discriminator, VGG19, or both.

They see the last stage's image beside the true one, in the training data's standard deviations, whole or a crop of it.
Where the true image has no measurement the generated one takes its place, without gradient: neither side can be told
from the other there, and the masks of the losses leave it out.
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
from jointseg_jax.training import adversarial
from jointseg_jax.training.means import Mean, mean
from jointseg_jax.training.weighting import ramp

_BANDS = 3


class Views(NamedTuple):
    """What is looked at.

    Attributes:
        real: [b, h, w, 3], the true image in standard deviations about the mean.
        fake: the generated one.
        context: the input upsampled, [b, h, w, 3], or nothing, [b, h, w, 0].
        valid: [b, h, w, 1] float32.
    """

    real: jax.Array
    fake: jax.Array
    context: jax.Array
    valid: jax.Array


@dataclasses.dataclass(frozen=True)
class Critic:
    """The adversarial phase.

    Attributes:
        net: the discriminator; None where only VGG19 looks.
        kind: of the adversarial loss, see `adversarial.GAN_KINDS`.
        gan: weight of the adversarial loss.
        feature_matching: weight of the L1 between the discriminator's features.
        perceptual: weight of the perceptual loss.
        layers: VGG19's layers and their weights.
        start: the first step of the phase.
        ramp: steps over which its weights rise from zero.
        sees_input: the discriminator sees the input beside the image (satlas-super-resolution).
        crop: side in 1 m pixels of what is looked at; 0 for the whole patch.
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
        """Of the discriminator's input."""
        return 2 * _BANDS if self.sees_input else _BANDS

    def views(self, model: JointSeg, outputs: Outputs, batch: Mapping[str, Any], step: jax.Array) -> Views:
        """What is looked at in a batch; all its samples are cropped at one place, drawn by seed and step."""
        average, std = model.image_statistics()
        valid = batch["image_valid"].astype(jnp.float32)[..., None]
        fake = (outputs.images[-1] - average) / std
        real = jnp.where(valid > 0, (batch["image"] - average) / std, jax.lax.stop_gradient(fake))
        if self.sees_input:
            context = resample(model.normalise(batch["inputs"])[1], Fraction(10), "bicubic")
        else:
            context = fake[..., :0]
        seen = Views(real, fake, context, valid)
        if not self.crop:
            return seen
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        rows, columns = (side - self.crop + 1 for side in fake.shape[1:3])
        top, left = jax.random.randint(key, (2,), 0, np.asarray((rows, columns)))
        return Views(*(_crop(x, top, left, self.crop) for x in seen))

    def generator_means(
        self, params: Mapping[str, Any] | None, vectors: Mapping[str, Any] | None, vgg: Any, seen: Views
    ) -> dict[str, Mean]:
        """The losses that the generator is to lower.

        Args:
            params: of the discriminator, held fixed by the caller.
            vectors: of its spectral normalisation.
            vgg: parameters of VGG19, where the perceptual loss has a weight.
            seen: real and fake.
        """
        found: dict[str, Mean] = {}
        if self.net is not None:
            real, real_features = None, ()
            if self.feature_matching or self.kind == "relativistic":
                real, real_features = self._judge(params, vectors, seen.real, seen.context)
            fake, fake_features = self._judge(params, vectors, seen.fake, seen.context)
            if self.gan:
                found["gan"] = adversarial.generator_gan(real, fake, self.kind, seen.valid)
            if self.feature_matching:
                found["feature_matching"] = adversarial.feature_matching(real_features, fake_features, seen.valid)
        if self.perceptual:
            names = [name for name, _ in self.layers]
            real_seen, fake_seen = (vgg19_activations(vgg, _as_photo(x), names, self.dtype) for x in seen[:2])
            found["perceptual"] = adversarial.perceptual(real_seen, fake_seen, dict(self.layers), seen.valid)
        return found

    def discriminator_means(
        self, params: Mapping[str, Any], vectors: Mapping[str, Any], seen: Views
    ) -> dict[str, Mean]:
        """The discriminator's loss, "discriminator", and its mean logits over real and fake; fakes are held fixed."""
        fixed = jax.lax.stop_gradient(seen)
        real, _ = self._judge(params, vectors, fixed.real, fixed.context)
        fake, _ = self._judge(params, vectors, fixed.fake, fixed.context)
        return {
            "discriminator": adversarial.discriminator_gan(real, fake, self.kind, fixed.valid),
            "logit_real": mean(real, fixed.valid),
            "logit_fake": mean(fake, fixed.valid),
        }

    def total(self, values: Mapping[str, jax.Array], step: jax.Array) -> jax.Array:
        """What the losses add to the generator's objective at a step."""
        weights = {"gan": self.gan, "feature_matching": self.feature_matching, "perceptual": self.perceptual}
        parts = (w * values[name] for name, w in weights.items() if name in values)
        return ramp(step, self.start, self.ramp) * sum(parts, jnp.zeros((), jnp.float32))

    def _judge(self, params: Any, vectors: Any, image: jax.Array, context: jax.Array) -> Any:
        assert self.net is not None
        return discriminate(self.net, params, vectors, jnp.concatenate([image, context], -1))


def _crop(x: jax.Array, top: jax.Array, left: jax.Array, side: int) -> jax.Array:
    return jax.lax.dynamic_slice(x, (0, top, left, 0), (x.shape[0], side, side, x.shape[-1]))


def _as_photo(x: jax.Array) -> jax.Array:
    """Standard deviations about the mean of the training data as those of ImageNet, which VGG19 was trained on."""
    return x * np.asarray(IMAGE_STD, np.float32) + np.asarray(IMAGE_MEAN, np.float32)
