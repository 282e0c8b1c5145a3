"""Makes the record of uncertainty beside a checkpoint: first calibrated on validation ground, then measured on test."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation import training_ground
from jointseg_jax.evaluation.site_scores import ScoreCounts, sites_by_region
from jointseg_jax.evaluation.uncertainty import UncertaintyCounts, calibrate_intervals, calibrate_sets
from jointseg_jax.mapping.predictor import uncertainty
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.uncertainty import Measured, Uncertainty, Worth
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.trained import Trained

ALPHA = 0.1


def check(trained: Trained, data: Dataset, split: str, alpha: float) -> None:
    """Raises `InputError` for a split that neither calibrates nor measures, or to calibrate on a foreign dataset."""
    bounds.ALPHA.check("--alpha", alpha)
    if split == "train":
        raise InputError(
            "--uncertainty calibrates with --split=validation and measures with --split=test: on training ground "
            "the network errs less than elsewhere"
        )
    known = {m.name: m.statistics for m in data.contract.modalities}
    if split == "validation" and any(known[m.name] != m.statistics for m in trained.meta.contract.modalities):
        raise InputError(
            f"{data.root} is not the dataset that {trained.workdir} was trained on, whose training ground the area of "
            "applicability is measured from: calibrate without --dataset"
        )


def to_measure(predictor: Predictor, split: str, dates: int | None) -> Uncertainty | None:
    """The calibration to measure; None on the split that calibrates. Raises `InputError` without one."""
    return uncertainty.calibrated_for(predictor, dates) if split == "test" else None


def calibrate(
    predictor: Predictor,
    data: Dataset,
    sites: Sequence[UncertaintyCounts],
    dates: int | None,
    alpha: float,
    say: Callable[[str], None],
) -> None:
    """Writes a record that is not measured yet.

    Args:
        predictor: that mapped the validation ground.
        data: the dataset of the training.
        sites: counts of the validation ground of each site.
        dates: see `evaluate`.
        alpha: the share that sets and intervals may miss.
        say: receives a line.

    Raises:
        InputError: there is too little validation or training ground.
    """
    trained = predictor.trained
    highest, lowest = calibrate_sets(sites, alpha)
    intervals = calibrate_intervals(sites, alpha)
    pixels = sum(int(site.pixels.sum()) for site in sites)
    record = Uncertainty(
        **vars(uncertainty.key(trained, predictor.dtype, predictor.augment, dates)),
        alpha=alpha,
        highest_0=highest,
        lowest_1=lowest,
        intervals=intervals,
        applicability=training_ground.applicability(data, trained.meta.contract, dates),
        calibrated_on=f"{data.description['name']}, validation, {pixels} pixels of 1 m on {len(sites)} sites",
    )
    bins = ", ".join(f"{len(found)} bins at {side[:-1]} m" for side, found in intervals.items())
    kept = _keep(record, predictor)
    say(
        f"uncertainty: a set holds {trained.meta.contract.class_names[0]} up to a probability of "
        f"{highest / uncertainty.LEVELS:.3f} and {trained.meta.contract.class_names[1]} from "
        f"{lowest / uncertainty.LEVELS:.3f} on; intervals in {bins}; {kept}; measure it with --split=test; "
        "they are for ground like that of the calibration, and blocks of training sites are unlike new sites"
    )


def measure(
    record: Uncertainty, metrics: dict[str, Any], sites: Sequence[Site], by_site: Mapping[str, ScoreCounts]
) -> Uncertainty:
    """Adds `uncertainty` to the sections of the metrics; returns the measured record."""

    def worth(members: Sequence[Site], section: dict[str, Any]) -> Worth:
        total = sum((by_site[site.name] for site in members), ScoreCounts())
        found = total.uncertainty.worth(record, total.similarity)
        section["uncertainty"] = typed.plain(found)
        return found

    for site in sites:
        worth([site], metrics["sites"][site.name])
    regions = {name: worth(members, metrics["regions"][name]) for name, members in sites_by_region(list(sites))}
    overall = worth(sites, metrics["overall"])
    return dataclasses.replace(record, measured=Measured(metrics["dataset"], metrics["split"], overall, regions))


def keep_measured(record: Uncertainty, predictor: Predictor, say: Callable[[str], None]) -> None:
    """Reports what `measure` found, and writes it unless another calibration was stored meanwhile."""
    measured = record.measured
    assert measured is not None
    if uncertainty.stored_digest(predictor.trained) == record.digest:
        kept = _keep(record, predictor)
    else:
        path = predictor.trained.workdir / uncertainty.FILE
        kept = f"not saved, because {path} was changed meanwhile: run the same command again"
    for name, found in [*measured.regions.items(), ("all", measured.overall)]:
        held = " and ".join(_percent(share) for share in found.coverage)
        intervals = ", ".join(
            f"{_percent(c.coverage)} at {side[:-1]} m (width {c.width or 0:.3f})" for side, c in found.intervals.items()
        )
        say(
            f"uncertainty, {name}: sets hold {held} of the two classes, {_percent(found.both)} hold both; intervals "
            f"hold {intervals}; {_percent(found.outside)} lies outside the area of applicability, errors "
            f"{_percent(found.error_inside)} inside and {_percent(found.error_outside)} outside"
        )
    auroc = measured.overall.auroc
    said = "-" if auroc is None else f"{auroc:.3f}"
    say(f"uncertainty: asked for were {1 - record.alpha:.0%}; AUROC of the dissimilarity for errors {said}; {kept}")


def _keep(record: Uncertainty, predictor: Predictor) -> str:
    """Writes the record; returns where, or why not."""
    path = predictor.trained.workdir / uncertainty.FILE
    try:
        formats.write_record(path, typed.plain(record), formats.UNCERTAINTY)
    except OSError as error:
        return f"not saved, because {path} cannot be written ({error.strerror})"
    return f"saved to {path}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
