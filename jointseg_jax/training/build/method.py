"""Builds the method of a config, for a network: objective, adversarial loss, optimisers."""

from collections.abc import Sequence
from typing import Any

import jax

from jointseg_jax.errors import InputError
from jointseg_jax.models.discriminator import SIDE_MULTIPLE, UNetDiscriminator
from jointseg_jax.models.jointseg import JointSeg, init_params
from jointseg_jax.models.vgg import LAYERS, reduction
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.training.build.optimizers import build_hold, build_optimizers, check_frozen
from jointseg_jax.training.losses.adversarial_loss import AdversarialLoss
from jointseg_jax.training.losses.objective import Objective
from jointseg_jax.training.losses.optional import class_weights
from jointseg_jax.training.method import Method


def build_objective(config: Any, model: JointSeg, label_share: Sequence[float], pieces: int = 1) -> Objective:
    """The joint objective that `config.loss` describes.

    Args:
        config: `config.loss`.
        model: the network.
        label_share: of each class among the labelled pixels of the training patches.
        pieces: of a batch, `optimizer.accumulate`.

    Raises:
        InputError: the config contradicts itself, the network or the labels.
    """
    count = len(model.spacings)
    stages = tuple(float(w) for w in config.stages)
    if len(stages) not in (1, count) and count:
        raise InputError(f"loss.stages is {stages}: give one weight, or one for each of {count} stages")
    stages = stages * count if len(stages) == 1 else stages
    segments = config.cross_entropy or config.dice or config.boundary
    resolves = model.has_sr and config.sr and any(stages)
    if not segments and not resolves:
        raise InputError(
            "config.loss gives no output of the network a weight, so there is nothing to train: set "
            "loss.cross_entropy, or loss.sr if the network has an SR branch"
        )
    if config.weighting == "uncertainty" and not (segments and resolves):
        raise InputError(
            "loss.weighting 'uncertainty' balances super-resolution against segmentation, but one of them has no "
            "weight or no branch: set both loss.sr and loss.cross_entropy, or loss.weighting='fixed'"
        )
    if config.affinity and not model.has_sr:
        raise InputError(
            f"loss.affinity compares with an SR branch, but the control {model.control!r} has none: set loss.affinity "
            "to 0, or model.control to 'joint'"
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
        completeness=_completeness(config, label_share[-1], pieces),
        boundary=config.boundary,
        boundary_reach=config.boundary_reach,
        affinity=config.affinity,
        affinity_grid=config.affinity_grid,
        shift=config.shift,
        weighting=config.weighting,
        segmentation_start=config.segmentation_start,
        segmentation_ramp=config.segmentation_ramp,
    )


def _completeness(config: Any, shown: float, pieces: int) -> float:
    """The share of the impervious ground that is labelled so; 1 for complete labels.

    Args:
        config: `config.loss`.
        shown: share of impervious ground in the labels.
        pieces: of a batch.

    Raises:
        InputError: the labels cannot miss any of it, or the loss is not to be had with the other settings.
    """
    prior = config.get("prior", 0.0)  # configs of earlier versions have none
    if not prior:
        return 1.0
    if not 0 < shown < prior:
        raise InputError(
            f"loss.prior is {prior:g}, but the labels show {shown:.4g} of the ground as impervious: the prior "
            "is the true share, and labels that miss some show less; with complete labels set loss.prior to 0"
        )
    complete = [name for name in ("dice", "boundary", "class_balance") if config[name]]
    if complete or not config.cross_entropy:
        change = f"set {' and '.join(f'loss.{name}' for name in complete)} to 0" if complete else "give it a weight"
        raise InputError(
            "loss.prior makes loss.cross_entropy the only loss of segmentation, as the others take every absence for "
            f"pervious ground: {change}"
        )
    if pieces > 1:
        raise InputError(
            f"loss.prior needs the risk of the whole batch, but optimizer.accumulate splits it into {pieces}: set one "
            "of them to its default, 0 or 1"
        )
    return shown / prior


def build_adversarial(
    config: Any, model: JointSeg, patch: int, *, seed: int, accumulate: int, space: int
) -> AdversarialLoss | None:
    """The losses of the adversarial phase that `config.adversarial` describes; None where no weight is set.

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
    _check_supported(config, model, judges, accumulate, space)
    whole = patch * FINE_FACTOR
    layers = tuple((str(name), float(weight)) for name, weight in config.layers)
    _check_crop(config, whole, judges, layers)
    return AdversarialLoss(
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


def _check_supported(config: Any, model: JointSeg, judges: bool, accumulate: int, space: int) -> None:
    """Raises `InputError` if the network, the batch or the mesh rules an adversarial phase out."""
    if not model.has_sr:
        raise InputError(
            f"config.adversarial judges super-resolved images, but the control {model.control!r} has no SR branch: "
            "set its weights to 0, or model.control to 'joint'"
        )
    if judges and config.kind == "relativistic" and accumulate > 1:
        raise InputError(
            "adversarial.kind 'relativistic' needs the mean logit of the whole batch, but optimizer.accumulate splits "
            "the batch: set adversarial.kind to 'vanilla', or optimizer.accumulate to 1"
        )
    if space > 1:
        raise InputError(
            f"config.adversarial needs whole patches, but mesh.space {space} splits them: set mesh.space to 1"
        )
    if len(model.image_index) != 3:
        raise InputError(
            f"config.adversarial needs an image of 3 bands, but this one has {len(model.image_index)}: set its "
            "weights to 0, or prepare a dataset with three dataset.image_bands"
        )


def _check_crop(config: Any, whole: int, judges: bool, layers: Sequence[tuple[str, float]]) -> None:
    """Raises `InputError` if the discriminator or VGG19 cannot look at the crop, `whole` pixels for the whole patch."""
    if config.crop > whole:
        raise InputError(
            f"adversarial.crop is {config.crop}, but a patch has {whole} pixels at 1 m: set it to {whole} or less"
        )
    side, multiple = config.crop or whole, SIDE_MULTIPLE if judges else 1
    if config.perceptual:
        unknown = [name for name, _ in layers if name not in LAYERS]
        if unknown or not layers:
            raise InputError(
                f"adversarial.layers has {unknown or 'no layer'}: use layers of VGG19, {', '.join(LAYERS)}"
            )
        if not config.vgg:
            raise InputError(
                "adversarial.perceptual needs the weights of VGG19: set adversarial.vgg to torchvision's file "
                "(vgg19-dcbb9e9d.pth), or use adversarial.feature_matching instead"
            )
        multiple = max(multiple, *(reduction(name) for name, _ in layers))
    if side % multiple:
        raise InputError(
            f"config.adversarial looks at {side} x {side} pixels, but its networks need a side that is a multiple of "
            f"{multiple}: set adversarial.crop to one"
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
    adversarial = build_adversarial(
        config.adversarial, model, patch, seed=config.seed, accumulate=pieces, space=config.mesh.space
    )
    check_frozen(frozen, jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
    return Method(
        model=model,
        objective=build_objective(config.loss, model, label_share, pieces),
        adversarial=adversarial,
        optimizers=build_optimizers(config, adversarial),
        ema=config.optimizer.ema,
        accumulate=pieces,
        hold=build_hold(frozen),
    )
