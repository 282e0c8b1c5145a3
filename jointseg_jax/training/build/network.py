"""Builds the network from a config and a contract."""

from fractions import Fraction
from typing import Any

import jax.numpy as jnp

from jointseg_jax.data.sensor import gaussian_sigma
from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import CONTROLS, InputSpec, JointSeg
from jointseg_jax.models.progressive import Stage, stage_spacings
from jointseg_jax.models.rrdb import REMAT
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract

_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build_model(config: Any, contract: Contract) -> JointSeg:
    """The network that `config.model` describes, for data under `contract`.

    Raises:
        InputError: the config contradicts itself.
    """
    if config.control not in CONTROLS:
        raise InputError(f"model.control is {config.control!r}: use one of {', '.join(CONTROLS)}")
    if config.dtype not in _DTYPES:
        raise InputError(f"model.dtype is {config.dtype!r}: use one of {', '.join(_DTYPES)}")
    if config.remat not in REMAT:
        raise InputError(f"model.remat is {config.remat!r}: use one of {', '.join(REMAT)}")
    lattices = tuple(Fraction(str(x)) for x in config.lattices)
    rising = len(lattices) == len(config.widths) and sorted(lattices) == list(lattices)
    if not rising or lattices[0] != 1 or lattices[-1] != 10 or lattices[1].denominator != 1:
        raise InputError(
            f"model.lattices {config.lattices} must rise from 1 to 10 m, the second a whole number of metres, and "
            f"model.widths {config.widths} must have one entry for each of them"
        )
    sensor = build_sensor(contract)
    if config.consistent and sensor is None:
        raise InputError(
            f"model.consistent needs the MTF of the image bands, which the dataset's {contract.primary.name!r} lacks: "
            "name its bands as Sentinel-2 does (B02, ...) and prepare it again, or set model.consistent=False"
        )
    if config.consistent and not config.back_projections:
        raise InputError("model.consistent corrects images by back-projection: set model.back_projections to 1 or more")
    inputs = []
    for modality in contract.modalities:
        mean, std = modality.normalisation()
        inputs.append(InputSpec(modality.name, tuple(float(m) for m in mean), tuple(float(s) for s in std)))
    return JointSeg(
        inputs=tuple(inputs),
        image_index=contract.image_index,
        dates=contract.dates,
        date_features=config.date_features,
        sensor=sensor,
        back_projections=config.back_projections,
        consistent=config.consistent,
        stages=build_stages(config),
        lattices=lattices,
        widths=tuple(config.widths),
        classes=len(contract.classes),
        segmenter_blocks=config.segmenter_blocks,
        dilations=tuple(config.dilations),
        attention=config.attention,
        fusion=config.fusion,
        control=config.control,
        scan=config.scan,
        remat=config.remat,
        dtype=_DTYPES[config.dtype],
    )


def build_sensor(contract: Contract) -> SensorModel | None:
    """The nominal sensor of the image bands; None if the contract does not state their MTF."""
    primary = contract.primary
    if not primary.mtf:
        return None
    sigma = tuple(gaussian_sigma(primary.mtf[i], primary.spacing) / primary.spacing for i in contract.image_index)
    return SensorModel(sigma, linear_light=primary.units == "display")


def build_stages(config: Any) -> tuple[Stage, ...]:
    """The SR stages of `config.model`; each per-stage field has one entry per stage."""
    factors = tuple(Fraction(str(f)) for f in config.stages)
    for field in ("blocks", "features", "growth", "tail_features", "trunk_spacing"):
        if len(config[field]) != len(factors):
            raise InputError(f"model.{field} is {config[field]}: give one entry for each of the stages {config.stages}")
    stages = []
    before = Fraction(int(COARSE_SPACING))
    for i, factor in enumerate(factors):
        unshuffle = Fraction(str(config.trunk_spacing[i])) / before
        if unshuffle.denominator != 1 or unshuffle < 1:
            raise InputError(
                f"model.trunk_spacing of stage {i + 1} is {config.trunk_spacing[i]} m, but must be a whole multiple "
                f"of the spacing of that stage's input, {float(before):g} m"
            )
        if (10 / (before * unshuffle)).denominator != 1:
            raise InputError(
                f"model.trunk_spacing of stage {i + 1} is {config.trunk_spacing[i]} m, but must divide 10 m into "
                "whole parts"
            )
        sizes = (config.blocks[i], config.features[i], config.growth[i], config.tail_features[i])
        stages.append(Stage(factor, *sizes, int(unshuffle), config.get("subpixel", False)))
        before = before / factor
    try:
        stage_spacings(tuple(stages), Fraction(10))
    except ValueError as error:
        raise InputError(f"model.stages: {error}") from error
    return tuple(stages)
