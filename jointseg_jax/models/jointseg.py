"""The whole network: normalise, super-resolve, segment. Training, evaluation and mapping all run this one object.

It includes normalisation, so all three use the same units.
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal, cast, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.acquisitions import AcquisitionEncoder, mean_of_dates
from jointseg_jax.models.progressive import Features, ProgressiveSR, Stage, image_resample, stage_spacings
from jointseg_jax.models.resampling import area_mean, resample
from jointseg_jax.models.segmentation import Segmenter
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.models.support import support

Control = Literal["joint", "sequential", "bilinear", "deconvolved", "fine", "coarse"]
CONTROLS: tuple[str, ...] = get_args(Control)

Params = dict[str, Any]  # {"sr": {"stage1": ...}, "seg": ...}, float32


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """One input modality: its name, and mean and standard deviation per band."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs of the network.

    Attributes:
        logits: [b, 10h, 10w, classes] float32.
        images: one per stage, [b, h_k, w_k, 3] float32, in the units of the input; empty without an SR branch.
        spacings: of the images, metres.
        features: on request, the last features of the SR branch and of the segmenter, [b, 10h, 10w, any].
        base: [b, h, w, 3] at 10 m, in the units of the input: the stages add to its bicubic; None without an SR branch.
    """

    logits: jax.Array
    images: tuple[jax.Array, ...]
    spacings: tuple[Fraction, ...]
    features: tuple[jax.Array, ...] = ()
    base: jax.Array | None = None


jax.tree_util.register_dataclass(
    Outputs, data_fields=["logits", "images", "features", "base"], meta_fields=["spacings"]
)


class JointSeg(nn.Module):
    """Joint super-resolution and segmentation, and controls that feed other inputs to the same segmenter.

    Attributes:
        inputs: the modalities, the first holding the image bands.
        image_index: positions of the three image bands in the first modality.
        dates: acquisitions per modality in training. With several, a set encoder reads them, in any order and number.
        date_features: channels of that encoder.
        sensor: of the image bands; None if unknown, which leaves the base a plain bicubic.
        back_projections: iterations of the base's deconvolution, see `SensorModel.sharpen`; 0 for a plain bicubic.
        consistent: whether every stage's image is corrected so that the sensor would see the input in it.
        stages: of the SR branch.
        lattices, widths, classes, segmenter_blocks, dilations, attention, fusion: see `Segmenter`.
        control: what the segmenter sees:
            "joint": the last stage's image and the SR branch's features;
            "sequential": that image alone, gradients stopped, so SR learns only from its own loss;
            "bilinear": the input enlarged bilinearly; no SR branch;
            "deconvolved": the base, the sensor's inverse without anything learned; no SR branch;
            "fine": the true 1 m image (an upper bound, not a product); no SR branch;
            "coarse": the input repeated, and logits averaged to 10 m: segmentation at 10 m; no SR branch.
        scan, remat, dtype: see `rrdb.Trunk`.
    """

    inputs: tuple[InputSpec, ...]
    image_index: tuple[int, ...]
    dates: int = 1
    date_features: int = 16
    sensor: SensorModel | None = None
    back_projections: int = 0
    consistent: bool = False
    stages: tuple[Stage, ...] = (Stage(Fraction(4)), Stage(Fraction(5, 2)))
    lattices: tuple[Fraction, ...] = Segmenter.lattices
    widths: tuple[int, ...] = Segmenter.widths
    classes: int = 2
    segmenter_blocks: int = 1
    dilations: tuple[int, ...] = Segmenter.dilations
    attention: bool = True
    fusion: bool = True
    control: Control = "joint"
    scan: bool | None = None
    remat: str = "none"
    dtype: Any = jnp.float32

    @property
    def has_sr(self) -> bool:
        """Whether there is an SR branch."""
        return self.control in ("joint", "sequential")

    @property
    def spacings(self) -> tuple[Fraction, ...]:
        """Spacings of the stage images, metres."""
        return stage_spacings(self.stages, Fraction(10)) if self.has_sr else ()

    def image_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the image bands, float32 [3]."""
        first, index = self.inputs[0], list(self.image_index)
        return np.asarray(first.mean, np.float32)[index], np.asarray(first.std, np.float32)[index]

    @nn.compact
    def __call__(
        self,
        modalities: Mapping[str, Mapping[str, jax.Array]],
        image: jax.Array | None = None,
        image_valid: jax.Array | None = None,
        with_features: bool = False,
    ) -> Outputs:
        """Runs the network.

        Args:
            modalities: name -> {"values": [b, dates, h, w, bands], "valid": [b, dates, h, w]} in physical units.
            image: [b, 10h, 10w, 3], read by the control "fine" only.
            image_valid: [b, 10h, 10w], true where the image is measured; None for everywhere.
            with_features: whether to return the branches' features; needs an SR branch.

        Raises:
            ValueError: the control needs an image and none is given, or it has no SR branch for `with_features`.
        """
        if with_features and not self.has_sr:
            raise ValueError(f"the control {self.control!r} has no SR branch and therefore no features to return")
        inputs, seen_image, valid = self.read(modalities)
        mean, std = self.image_statistics()
        base = seen_image
        if self.sensor is not None and self.back_projections:
            base = (self.sensor.sharpen(seen_image * std + mean, self.back_projections) - mean) / std
        images: tuple[jax.Array, ...] = ()
        features: tuple[Features, ...] = ()
        hidden: list[jax.Array] = []
        if self.has_sr:
            resolved = ProgressiveSR(self.stages, Fraction(10), self.scan, self.remat, self.dtype, name="sr")(
                inputs, base
            )
            images, features = resolved.images, resolved.features
            if self.consistent:
                images = tuple(self._consistent(image, seen_image) for image in images)
            hidden.append(features[-1].array)
        match self.control:
            case "joint":
                seen = images[-1]
            case "sequential":
                seen, features = jax.lax.stop_gradient(images[-1]), ()
            case "bilinear":
                seen = resample(seen_image, 10, "bilinear")
            case "deconvolved":
                seen = image_resample(base, Fraction(10))
            case "coarse":
                seen = resample(seen_image, 10, "nearest")
            case "fine":
                if image is None:
                    raise ValueError("the control 'fine' segments the true 1 m image, but no image is given")
                seen = (image - mean) / std
                if image_valid is not None:
                    seen = jnp.where(image_valid[..., None], seen, 0)
            case _:
                raise ValueError(f"the control {self.control!r} is unknown: use one of {', '.join(CONTROLS)}")
        sizes = (self.lattices, self.widths, self.classes, self.segmenter_blocks, self.dilations)
        segmenter = Segmenter(*sizes, self.attention, self.fusion, self.dtype, name="seg")
        logits, last = segmenter(seen, inputs, valid, features)
        hidden.append(last)
        if self.control == "coarse":
            logits = resample(area_mean(logits, Fraction(1, 10)), 10, "nearest")
        images = tuple(i * std + mean for i in images)
        shown = base * std + mean if self.has_sr else None
        return Outputs(logits, images, self.spacings, tuple(hidden) if with_features else (), shown)

    def read(self, modalities: Mapping[str, Mapping[str, jax.Array]]) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Normalises the inputs of the branches and joins their dates.

        Returns:
            All inputs [b, h, w, channels], the image bands' mean over valid dates [b, h, w, 3], and 1 where any input
            is valid [b, h, w, 1].
        """
        channels, anywhere = [], []
        for spec in self.inputs:
            normal, valid = _normalised(spec, modalities)
            channels.append(mean_of_dates(normal, valid))
            if self.dates > 1:
                encoder = AcquisitionEncoder(self.date_features, self.dtype, name=f"dates_{spec.name}")
                channels.append(encoder(normal, valid).astype(jnp.float32))
            anywhere.append(valid.max(1))
        return jnp.concatenate(channels, -1), self.seen_image(modalities), jnp.stack(anywhere).max(0)

    def seen_image(self, modalities: Mapping[str, Mapping[str, jax.Array]]) -> jax.Array:
        """The image bands of the input, normalised: their mean over valid dates [b, h, w, 3], 0 without one."""
        return mean_of_dates(*_normalised(self.inputs[0], modalities))[..., list(self.image_index)]

    def _consistent(self, image: jax.Array, seen: jax.Array) -> jax.Array:
        """Corrects an image so that its observation agrees with the input; both normalised."""
        if self.sensor is None:
            raise ValueError("consistent images need a sensor, and the MTF of the image bands is unknown")
        mean, std = self.image_statistics()
        factor = image.shape[1] // seen.shape[1]
        corrected = self.sensor.project(image * std + mean, seen * std + mean, factor, self.back_projections)
        return (corrected - mean) / std


def _normalised(spec: InputSpec, modalities: Mapping[str, Mapping[str, jax.Array]]) -> tuple[jax.Array, jax.Array]:
    """Values [b, dates, h, w, bands], zero where invalid, and validity [b, dates, h, w, 1] of a modality, float32."""
    values = modalities[spec.name]["values"].astype(jnp.float32)
    valid = modalities[spec.name]["valid"].astype(jnp.float32)[..., None]
    return (values - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32) * valid, valid


def run(
    model: JointSeg,
    params: Mapping[str, Any],
    modalities: Mapping[str, Mapping[str, jax.Array]],
    image: jax.Array | None = None,
    image_valid: jax.Array | None = None,
    with_features: bool = False,
) -> Outputs:
    """The network as a pure function of its parameters {"sr": ..., "seg": ...}; see `JointSeg.__call__`."""
    return cast(Outputs, model.apply({"params": params}, modalities, image, image_valid, with_features))


def image_support(model: JointSeg, outputs: Outputs) -> jax.Array:
    """How much of the 1 m image is measured, see `support`: [b, 10h, 10w, 1].

    Raises:
        ValueError: the network has no SR branch.
    """
    if outputs.base is None:
        raise ValueError(f"the control {model.control!r} has no SR branch and therefore no image to judge")
    mean, std = model.image_statistics()
    base = image_resample((outputs.base - mean) / std, Fraction(10))
    return support((outputs.images[-1] - mean) / std, base)


def init_params(model: JointSeg, key: jax.Array) -> Params:
    """Fresh parameters; their shapes do not depend on the size of the input."""
    size = 10  # the smallest that all lattices divide
    modalities = {
        spec.name: {
            "values": jnp.zeros((1, model.dates, size, size, len(spec.mean))),
            "valid": jnp.ones((1, model.dates, size, size)),
        }
        for spec in model.inputs
    }
    image = jnp.zeros((1, 10 * size, 10 * size, len(model.image_index)))
    return dict(model.init(key, modalities, image)["params"])
