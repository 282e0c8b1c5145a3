"""Builds network, objective, critic and optimisers from a config and a contract."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp

from jointseg_jax.errors import InputError
from jointseg_jax.models.discriminator import SIDE_MULTIPLE, UNetDiscriminator
from jointseg_jax.models.jointseg import CONTROLS, InputSpec, JointSeg
from jointseg_jax.models.progressive import Stage, stage_spacings
from jointseg_jax.models.rrdb import REMAT
from jointseg_jax.models.vgg import LAYERS, reduction
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, Contract
from jointseg_jax.training.losses.adversarial_loss import Critic
from jointseg_jax.training.losses.objective import Objective
from jointseg_jax.training.losses.optional import class_weights
from jointseg_jax.training.optimizers import build_hold, build_optimizers, check_frozen
from jointseg_jax.training.state import Method, init_params

_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build_model(config: Any, contract: Contract) -> JointSeg:
    """The network that `config.model` describes, for data under `contract`.

    Raises:
        InputError: the config contradicts itself.
    """
    if config.control not in CONTROLS:
        raise InputError(f"model.control is {config.control!r}; known: {CONTROLS}")
    if config.dtype not in _DTYPES:
        raise InputError(f"model.dtype is {config.dtype!r}; known: {sorted(_DTYPES)}")
    if config.remat not in REMAT:
        raise InputError(f"model.remat is {config.remat!r}; known: {', '.join(REMAT)}")
    lattices = tuple(Fraction(str(x)) for x in config.lattices)
    if (
        len(lattices) != len(config.widths)
        or lattices[0] != 1
        or lattices[-1] != 10
        or sorted(lattices) != list(lattices)
    ):
        raise InputError(
            f"model.lattices {config.lattices} must rise from 1 to 10 m, with one of model.widths {config.widths} each"
        )
    inputs = []
    for modality in contract.modalities:
        mean, std = modality.normalisation()
        inputs.append(InputSpec(modality.name, tuple(float(m) for m in mean), tuple(float(s) for s in std)))
    return JointSeg(
        inputs=tuple(inputs),
        image_index=contract.image_index,
        dates=contract.dates,
        stages=build_stages(config),
        lattices=lattices,
        widths=tuple(config.widths),
        classes=len(contract.classes),
        segmenter_blocks=config.segmenter_blocks,
        control=config.control,
        scan=config.scan,
        remat=config.remat,
        dtype=_DTYPES[config.dtype],
    )


def build_stages(config: Any) -> tuple[Stage, ...]:
    """The SR stages of `config.model`; each per-stage field has one entry per stage."""
    factors = tuple(Fraction(str(f)) for f in config.stages)
    for field in ("blocks", "features", "growth", "tail_features", "trunk_spacing"):
        if len(config[field]) != len(factors):
            raise InputError(f"model.{field} {config[field]} needs one entry for each of the stages {config.stages}")
    stages = []
    before = Fraction(int(COARSE_SPACING))
    for i, factor in enumerate(factors):
        unshuffle = Fraction(str(config.trunk_spacing[i])) / before
        if unshuffle.denominator != 1 or unshuffle < 1:
            raise InputError(
                f"model.trunk_spacing of stage {i + 1} is {config.trunk_spacing[i]} m, but the stage's input lies "
                f"at {float(before):g} m: "
                "it must be a whole multiple of that"
            )
        if (10 / (before * unshuffle)).denominator != 1:
            raise InputError(
                f"model.trunk_spacing of stage {i + 1}, {config.trunk_spacing[i]} m, must divide the 10 m pixel"
            )
        sizes = (config.blocks[i], config.features[i], config.growth[i], config.tail_features[i])
        stages.append(Stage(factor, *sizes, unshuffle=int(unshuffle)))
        before = before / factor
    try:
        stage_spacings(tuple(stages), Fraction(10))
    except ValueError as error:
        raise InputError(f"model.stages: {error}") from error
    return tuple(stages)


def build_objective(config: Any, model: JointSeg, label_share: Sequence[float]) -> Objective:
    """The joint objective that `config.loss` describes.

    Args:
        config: `config.loss`.
        model: the network.
        label_share: of each class among the labelled pixels of the training patches.

    Raises:
        InputError: the config contradicts itself or the network.
    """
    count = len(model.spacings)
    stages = tuple(float(w) for w in config.stages)
    if len(stages) not in (1, count) and count:
        raise InputError(f"loss.stages {stages} needs one weight, or one for each of {count} stages")
    stages = stages * count if len(stages) == 1 else stages
    segments = config.cross_entropy or config.dice or config.boundary
    resolves = model.has_sr and config.sr and any(stages)
    if not segments and not resolves:
        raise InputError("config.loss gives no loss a weight: there is nothing to learn")
    if config.weighting == "uncertainty" and not (segments and resolves):
        raise InputError(
            "loss.weighting 'uncertainty' balances super-resolution and segmentation: give both a weight and the "
            "network an SR branch, or say 'fixed'"
        )
    if config.affinity and not model.has_sr:
        raise InputError(
            f"loss.affinity compares with an SR branch, which the control {model.control!r} lacks: set it to 0, or "
            "take the control 'joint'"
        )
    try:
        weights = class_weights(label_share, config.class_balance) if config.class_balance else ()
    except ValueError as error:
        raise InputError(f"loss.class_balance: {error}") from error
    return Objective(
        std=tuple(float(s) for s in model.image_statistics()[1]),
        sr=config.sr,
        stages=stages if model.has_sr else (),
        cross_entropy=config.cross_entropy,
        dice=config.dice,
        class_weights=weights,
        boundary=config.boundary,
        boundary_reach=config.boundary_reach,
        affinity=config.affinity,
        affinity_grid=config.affinity_grid,
        shift=config.shift,
        weighting=config.weighting,
        segmentation_start=config.segmentation_start,
        segmentation_ramp=config.segmentation_ramp,
    )


def build_critic(config: Any, model: JointSeg, patch: int, *, seed: int, accumulate: int, space: int) -> Critic | None:
    """The critic of the adversarial phase that `config.adversarial` describes; None where no weight is set.

    Args:
        config: `config.adversarial`.
        model: the network.
        patch: side of a patch, 10 m pixels.
        seed: of the crops.
        accumulate: pieces of a batch.
        space: devices that share the rows of a patch.

    Raises:
        InputError: the config contradicts itself or the rest of the experiment.
    """
    if not (config.weight or config.feature_matching or config.perceptual):
        return None
    judges = bool(config.weight or config.feature_matching)
    if not model.has_sr:
        raise InputError(
            f"config.adversarial judges super-resolved images, which the control {model.control!r} lacks: set its "
            "weights to 0, or take the control 'joint'"
        )
    if judges and config.kind == "relativistic" and accumulate > 1:
        raise InputError(
            "adversarial.kind 'relativistic' compares with the mean logit of the whole batch, which no piece of "
            "optimizer.accumulate knows: take 'vanilla', or 1 piece"
        )
    if space > 1:
        raise InputError("config.adversarial looks at whole patches: take mesh.space 1")
    if len(model.image_index) != 3:
        raise InputError(f"config.adversarial looks at three bands, the image has {len(model.image_index)}")
    whole = patch * FINE_FACTOR
    if config.crop > whole:
        raise InputError(f"adversarial.crop is {config.crop}, but a patch has {whole} pixels at 1 m")
    side, multiple = config.crop or whole, SIDE_MULTIPLE if judges else 1
    layers = tuple((str(name), float(weight)) for name, weight in config.layers)
    if config.perceptual:
        unknown = [name for name, _ in layers if name not in LAYERS]
        if unknown or not layers:
            raise InputError(f"adversarial.layers has {unknown or 'no layer'}; VGG19 has {', '.join(LAYERS)}")
        if not config.vgg:
            raise InputError(
                "adversarial.perceptual needs the weights of VGG19: name torchvision's file (vgg19-dcbb9e9d.pth) in "
                "adversarial.vgg, or take adversarial.feature_matching instead"
            )
        multiple = max(multiple, *(reduction(name) for name, _ in layers))
    if side % multiple:
        raise InputError(
            f"the networks of config.adversarial halve the {side} pixels they look at down to 1/{multiple}: set "
            f"adversarial.crop to a multiple of {multiple}"
        )
    return Critic(
        net=UNetDiscriminator(config.features, model.dtype) if judges else None,
        kind=config.kind,
        gan=config.weight,
        feature_matching=config.feature_matching,
        perceptual=config.perceptual,
        layers=layers,
        start=config.start,
        ramp=config.ramp,
        sees_input=config.sees_input,
        crop=config.crop if config.crop < whole else 0,
        seed=seed,
        dtype=model.dtype,
    )


def build_method(config: Any, model: JointSeg, patch: int, label_share: Sequence[float]) -> Method:
    """Builds the `Method` of a config.

    Args:
        config: of the experiment.
        model: the network.
        patch: side of a patch, 10 m pixels.
        label_share: see `build_objective`.

    Raises:
        InputError: the config contradicts itself.
    """
    pieces, frozen = config.optimizer.accumulate, tuple(config.optimizer.frozen)
    critic = build_critic(
        config.adversarial, model, patch, seed=config.seed, accumulate=pieces, space=config.mesh.space
    )
    check_frozen(frozen, jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
    return Method(
        model=model,
        objective=build_objective(config.loss, model, label_share),
        critic=critic,
        optimizers=build_optimizers(config, critic),
        ema=config.optimizer.ema,
        accumulate=pieces,
        hold=build_hold(frozen),
    )
