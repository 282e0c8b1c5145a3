"""Runs an evaluation and writes it: metrics.json, a table on the terminal, panels."""

import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation import baseline, uncertainty_record
from jointseg_jax.evaluation.confidence_quality import Ranking
from jointseg_jax.evaluation.panels import Panels
from jointseg_jax.evaluation.perceptual import Lpips
from jointseg_jax.evaluation.report import page
from jointseg_jax.evaluation.report.terminal import table
from jointseg_jax.evaluation.site_scores import (
    ScoreCounts,
    check_contract,
    data_range,
    evaluate_site,
    signal,
    sites_by_region,
)
from jointseg_jax.mapping.predictor import confidence
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.memory import check_room
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import fitted
from jointseg_jax.models import cost
from jointseg_jax.models.cost import forward_flops
from jointseg_jax.shipped import is_shipped
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_json
from jointseg_jax.storage.folders import claim
from jointseg_jax.training.trained import Trained

_METRICS = "metrics.json"
_FILES = (_METRICS, *page.FILES)


def evaluate(
    trained: Trained,
    data: Dataset,
    split: str,
    folder: str | os.PathLike[str],
    *,
    tile: int,
    augment: bool = False,
    dtype: str | None = None,
    dates: int | None = None,
    uncertainty: bool = False,
    alpha: float = uncertainty_record.ALPHA,
    lpips: Sequence[str | os.PathLike[str]] = (),
    command: str = "",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluates a network on a split and writes the results.

    Args:
        trained: the network.
        data: a dataset that fits the network's contract.
        split: "train", "validation" or "test".
        folder: receives metrics.json, the report (report.html, report.md and its charts) and a PNG of panels per site.
        tile: core size of the predictor in coarse pixels.
        augment: map with augmentation, measure the quality of its confidence, and store that beside the checkpoint.
            Nothing is stored for the training split, because a network is more certain there than elsewhere.
        dtype: of the computation, see `Predictor`.
        dates: use only so many dates of each site, the first ones; None for all.
        uncertainty: on the validation split, calibrate sets and intervals and draw the area of applicability; on the
            test split, measure what they are worth. Both are stored beside the checkpoint.
        alpha: of the calibration: the share of the truth that sets and intervals may miss.
        lpips: files with the weights of LPIPS, see `load_lpips`; it is measured at 1 m. Left out if empty.
        command: that the report says it was made by; empty if none.
        say: receives the lines of the report.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: the dataset does not fit, is damaged or has no ground in the split, the folder holds other files,
            or LPIPS cannot be measured.
    """
    folder = pathlib.Path(folder)
    contract = trained.meta.contract
    if augment or uncertainty:
        _check_stores(trained)
    check_contract(contract, data, dates)
    judge_of_images = _lpips(trained, lpips) if lpips else None
    sites = data.sites_of(split)
    site_record.check_rasters(data, sites, deep=True)
    if uncertainty:
        uncertainty_record.check(trained, data, split, alpha)
    bounds.TILE.check("--tile", tile)
    tile, _ = fitted(tile, None, max(s.height for s in sites), max(s.width for s in sites))
    names = [*_FILES, *(f"{site.name}.png" for site in sites)]
    with claim(folder, "evaluation", names=names, older=_made_without_marker, others="refuse") as taken:
        scenes = [data.scene(site.name, contract).first_dates(dates) for site in sites]
        halo = halo_for(trained, scenes[0], say=say)
        predictor = Predictor(trained, halo, tile=tile, support=trained.model.has_sr, augment=augment, dtype=dtype)
        check_room(predictor, dates=max(scene.dates for scene in scenes))
        record = uncertainty_record.to_measure(predictor, split, dates) if uncertainty else None
        judge = functools.partial(
            evaluate_site,
            split=split,
            dates=dates,
            regression=baseline.fit(data, contract, dates),
            uncertainty=uncertainty,
            applicability=None if record is None else record.applicability,
            lpips=judge_of_images,
        )
        by_site = _judged(judge, predictor, data, sites, folder, say)
        metrics = _assemble(predictor, data, split, sites, by_site)
        if record is not None:
            record = uncertainty_record.measure(record, metrics, sites, by_site)
        if judge_of_images is not None:
            metrics["lpips"] = judge_of_images.about
        metrics["dates"] = max(len(layers) for scene in scenes for layers in scene.layers.values())
        write_json(folder / _METRICS, metrics)
        page.write(folder, metrics, trained, data, sites, command)
        taken.sweep(names)  # removes panels of sites that only an earlier evaluation covered
    say(table(metrics))
    if augment:
        _keep_confidence(predictor, metrics, sum(by_site.values(), ScoreCounts()).confidence, say)
    if record is not None:
        uncertainty_record.keep_measured(record, predictor, say)
    elif uncertainty:
        uncertainty_record.calibrate(predictor, data, [s.uncertainty for s in by_site.values()], dates, alpha, say)
    say(f"written to {folder}; to look at: {folder / page.PAGE}")
    return metrics


def _lpips(trained: Trained, files: Sequence[str | os.PathLike[str]]) -> Lpips:
    if not trained.model.has_sr:
        raise InputError(f"{trained.workdir} makes no image at 1 m that LPIPS could judge: leave out --lpips")
    return Lpips(files, trained.meta.contract.image_bands, *signal(trained.meta.contract))


def _check_stores(trained: Trained) -> None:
    """Raises `InputError` if nothing can be stored beside the network."""
    if is_shipped(trained.workdir):
        raise InputError(
            f"what --augment and --uncertainty measure is stored beside the network, but {trained.workdir} is part of "
            f"the package: copy that folder, and give the copy, such as --workdir=runs/{trained.workdir.name}"
        )


def _judged(
    judge: Callable[..., ScoreCounts],
    predictor: Predictor,
    data: Dataset,
    sites: Sequence[Site],
    folder: pathlib.Path,
    say: Callable[[str], None],
) -> dict[str, ScoreCounts]:
    """The counts of every site, by `evaluate_site`; draws its panels."""
    found: dict[str, ScoreCounts] = {}
    for number, site in enumerate(sites, start=1):
        drawer = Panels(data, site, predictor.trained)
        found[site.name] = judge(predictor, data, site, on_tile=drawer.offer)
        drawer.save(folder / f"{site.name}.png")
        say(f"[{number}/{len(sites)}] {site.name}: {found[site.name].confusion.pixels / 1e6:.2f} km2 evaluated")
    return found


def _made_without_marker(folder: pathlib.Path) -> list[str] | None:
    """Lists the files of an evaluation written before folders had markers; None for another folder."""
    try:
        return [_METRICS, *(f"{name}.png" for name in read_json(folder / _METRICS)["sites"])]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep_confidence(
    predictor: Predictor, metrics: dict[str, Any], ranking: Ranking, say: Callable[[str], None]
) -> None:
    """Reports the quality of the confidence; stores it beside the checkpoint unless the split is for training."""
    found, margin = metrics["overall"]["confidence"], metrics["overall"]["margin"]
    path = predictor.trained.workdir / confidence.FILE
    if found["auroc"] is None or metrics["split"] == "train":
        why = (
            "on training ground it would look too good"
            if metrics["split"] == "train"
            else "all pixels are right, or all are wrong"
        )
        say(f"confidence: {path} is not written, because {why}")
        return
    record = {
        **vars(confidence.key(predictor.trained, predictor.dtype)),
        **found,
        "auroc_of_margin": margin["auroc"],
        "dataset": metrics["dataset"],
        "split": metrics["split"],
        "curve": ranking.curve(),
    }
    try:
        formats.write_record(path, record, formats.CONFIDENCE)
        kept = f"saved to {path}"
    except OSError as error:
        kept = f"not saved, because {path} cannot be written ({error.strerror})"
    say(
        f"confidence: AUROC {found['auroc']:.3f} for wrong pixels (distance from the threshold: "
        f"{margin['auroc']:.3f}), risk {found['risk']:.3f} over all pixels, area under the risk-coverage curve "
        f"{found['aurc']:.3f}; {kept}"
    )


def _assemble(
    predictor: Predictor,
    data: Dataset,
    split: str,
    sites: Sequence[Site],
    by_site: dict[str, ScoreCounts],
) -> dict[str, Any]:
    trained = predictor.trained
    width = data_range(trained.meta.contract)
    overall = sum(by_site.values(), ScoreCounts())
    regions = {
        region: sum((by_site[s.name] for s in members), ScoreCounts())
        for region, members in sites_by_region(list(sites))
    }
    side = 64
    flops = forward_flops(trained.model, trained.params, side, side) / (side * side)
    return {
        "overall": overall.figures(width),
        "regions": {name: s.figures(width) for name, s in regions.items()},
        "sites": {name: s.figures(width) for name, s in by_site.items()},
        "pixels": overall.confusion.pixels,
        "split": split,
        "dataset": str(data.description["name"]),
        "label": trained.meta.contract.label,
        "composite": data.contract.composite,
        "experiment": trained.name,
        "control": _control(trained),
        "step": trained.step,
        "weights": trained.weights,
        "calibration": typed.plain(trained.meta.calibration),
        "halo": predictor.halo,
        "augment": predictor.augment,
        "dtype": predictor.dtype,
        "data_range": width,
        "parameters": cost.parameters(trained.params),
        "mega_flops_per_input_pixel": flops / 1e6,
    }


def _control(trained: Trained) -> str:
    """The input of the segmenter; "capacity" for a joint network without SR supervision."""
    control = str(trained.model.control)
    return "capacity" if control == "joint" and trained.meta.config["loss"]["sr"] == 0 else control
