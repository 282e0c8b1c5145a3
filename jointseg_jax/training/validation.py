"""Validates a network on patches during training: calibration, scores, pictures."""

import functools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import expit

from jointseg_jax.data.patches import PatchReader
from jointseg_jax.data.pipeline import Slice, evaluation_batches
from jointseg_jax.models import jointseg
from jointseg_jax.models.jointseg import JointSeg, Outputs, Params
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.training import calibration
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.step import LOGIT_LIMIT, Batch, Metrics


class ValidationResult(NamedTuple):
    """The result of a validation.

    Attributes:
        fitted: the calibration.
        scores: its scores, with the RMSE of each stage (in standard deviations of the image).
        logits: histograms [2, bins] of logit differences over pervious and impervious pixels.
        edges: of their bins.
        masked: number of unreadable patches.
    """

    fitted: calibration.Calibration
    scores: dict[str, float]
    logits: np.ndarray
    edges: np.ndarray
    masked: int


def validate(
    evaluate: Callable[[Params, Batch], Metrics],
    params: Params,
    reader: PatchReader,
    mesh: parallel.Mesh,
    *,
    batch: int,
    slice_: Slice,
    step: int,
    limit: int | None,
    check: Callable[[], None] = lambda: None,
) -> ValidationResult:
    """Evaluates the network on the validation patches.

    Args:
        evaluate: jitted evaluation step; its sums come back replicated.
        params: of the network.
        reader: of the validation split.
        mesh: devices.
        batch: global batch size.
        slice_: this process's share.
        step: of training, noted in the calibration.
        limit: number of patches; None for all.
        check: called before each batch; an exception from it ends the validation.
    """

    def batches() -> Iterator[Batch]:
        for part in evaluation_batches(reader, batch=batch, slice_=slice_, limit=limit):
            check()
            yield part

    totals: dict[str, np.ndarray] = {}
    for part in parallel.prefetch(batches(), mesh):
        for name, value in jax.device_get(evaluate(params, part)).items():
            totals[name] = totals.get(name, 0) + np.asarray(value, np.float64)
    fitted = calibration.fit(totals["logits"], LOGIT_LIMIT, step)
    scores = dict(fitted.scores)
    for name in totals:
        if name.startswith("error_stage"):
            stage = name.removeprefix("error_")
            scores[f"rmse_{stage}"] = float(np.sqrt(totals[name] / max(totals[f"pixels_{stage}"], 1)))
    scores |= {"temperature": fitted.temperature, "threshold": fitted.threshold}
    edges = np.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, totals["logits"].shape[1] + 1)
    return ValidationResult(fitted, scores, totals["logits"], edges, int(totals["masked"]))


def run(model: JointSeg, params: Params, batch: Batch) -> Outputs:
    """Runs the network on a batch of host arrays; returns host arrays."""
    return jax.device_get(_apply(model, params, batch["inputs"], batch["image"], batch["image_valid"]))


@functools.partial(jax.jit, static_argnums=0)
def _apply(model: JointSeg, params: Params, inputs: Any, image: Any, image_valid: Any) -> Outputs:
    return jointseg.run(model, params, inputs, image, image_valid)


def picture(
    contract: Contract, batch: dict[str, Any], outputs: Outputs, fitted: calibration.Calibration, count: int
) -> np.ndarray:
    """Draws panels of some samples: input, each stage, target, label, probability; grey where no input date is valid.

    Args:
        contract: of the network.
        batch: host arrays.
        outputs: of the network for it, host arrays.
        fitted: calibration.
        count: samples at most.

    Returns:
        uint8 [height, width, 3].
    """
    primary, order = contract.primary.name, list(rgb_order(contract.image_bands))
    rows, titles = [], []
    for i in range(min(count, len(batch["label"]))):
        inputs = batch["inputs"][primary]
        coarse = inputs["values"][i, 0][..., list(contract.image_index)][..., order]
        target, target_valid = batch["image"][i][..., order], batch["image_valid"][i]
        seen = inputs["valid"][i].any(0)
        limits = drawing.stretch_limits(target, target_valid)
        images = [np.asarray(image[i])[..., order] for image in outputs.images]
        difference = outputs.logits[i][..., 1] - outputs.logits[i][..., 0]
        cells = [("input 10 m", drawing.stretch(coarse, limits, inputs["valid"][i, 0]))]
        cells += [
            (f"SR {_metres(s)}", drawing.stretch(image, limits, drawing.resize_mask(seen, *image.shape[:2])))
            for s, image in zip(outputs.spacings, images, strict=True)
        ]
        fine = target.shape[0]
        shown = drawing.resize_mask(seen, fine, fine)
        cells.append(("target 1 m", drawing.stretch(target, limits, target_valid)))
        cells.append((f"label: {contract.label}", drawing.colour_classes(batch["label"][i])))
        cells.append(("probability", drawing.colour_probability(expit(difference / fitted.temperature), shown)))
        titles = [title for title, _ in cells]
        rows.append([rgb if rgb.shape[0] == fine else drawing.resize_nearest(rgb, fine, fine) for _, rgb in cells])
    return drawing.panels(rows, titles)


def _metres(spacing: Fraction) -> str:
    return f"{float(spacing):g} m"
