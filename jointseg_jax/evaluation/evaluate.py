"""Runs an evaluation and writes it: metrics.json, a table on the terminal, panels."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.evaluation import baseline, uncertainty_record
from jointseg_jax.evaluation.confidence_quality import Ranking
from jointseg_jax.evaluation.panels import Panels
from jointseg_jax.evaluation.site_scores import ScoreCounts, check_contract, data_range, evaluate_site, sites_by_region
from jointseg_jax.mapping.predictor import confidence
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.memory import check_room
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import fitted
from jointseg_jax.models import cost
from jointseg_jax.models.cost import forward_flops
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_json
from jointseg_jax.storage.folders import claim
from jointseg_jax.training.trained import Trained

_METRICS = "metrics.json"


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
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluates a network on a split and writes the results.

    Args:
        trained: the network.
        data: a dataset that fits the network's contract.
        split: "train", "validation" or "test".
        folder: receives metrics.json and one PNG of panels per site.
        tile: core size of the predictor in coarse pixels.
        augment: map with augmentation, measure the quality of its confidence, and store that beside the checkpoint.
            Nothing is stored for the training split, because a network is more certain there than elsewhere.
        dtype: of the computation, see `Predictor`.
        dates: use only so many dates of each site, the first ones; None for all.
        uncertainty: on the validation split, calibrate sets and intervals and draw the area of applicability; on the
            test split, measure what they are worth. Both are stored beside the checkpoint.
        alpha: of the calibration: the share of the truth that sets and intervals may miss.
        say: receives the lines of the report.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: the dataset does not fit, is damaged or has no ground in the split, or the folder holds other files.
    """
    folder = pathlib.Path(folder)
    contract = trained.meta.contract
    check_contract(contract, data, dates)
    sites = data.sites_of(split)
    site_record.check_rasters(data, sites, deep=True)
    signal = data_range(contract)
    if uncertainty:
        uncertainty_record.check(trained, data, split, alpha)
    bounds.TILE.check("--tile", tile)
    tile, _ = fitted(tile, None, max(s.height for s in sites), max(s.width for s in sites))
    names = [_METRICS, *(f"{site.name}.png" for site in sites)]
    with claim(folder, "evaluation", names=names, older=_made_without_marker) as taken:
        scenes = [data.scene(site.name, contract).first_dates(dates) for site in sites]
        halo = halo_for(trained, scenes[0], say=say)
        predictor = Predictor(trained, halo, tile=tile, support=trained.model.has_sr, augment=augment, dtype=dtype)
        check_room(predictor, dates=max(scene.dates for scene in scenes))
        record = uncertainty_record.to_measure(predictor, split) if uncertainty else None
        area = None if record is None else record.applicability
        regression = baseline.fit(data, contract, dates)
        by_site: dict[str, ScoreCounts] = {}
        for number, site in enumerate(sites, start=1):
            drawer = Panels(data, site, trained)
            by_site[site.name] = evaluate_site(
                predictor, data, site, split, drawer.offer, dates, regression, uncertainty, area
            )
            drawer.save(folder / f"{site.name}.png")
            say(f"[{number}/{len(sites)}] {site.name}: {by_site[site.name].confusion.pixels / 1e6:.2f} km2 evaluated")
        metrics = _assemble(predictor, data, split, sites, by_site, signal)
        if record is not None:
            record = uncertainty_record.measure(record, metrics, sites, by_site)
        metrics["dates"] = max(len(layers) for scene in scenes for layers in scene.layers.values())
        write_json(folder / _METRICS, metrics)
        taken.sweep(names)  # removes panels of sites that only an earlier evaluation covered
    say(table(metrics))
    if augment:
        _keep_confidence(predictor, metrics, sum(by_site.values(), ScoreCounts()).confidence, say)
    if record is not None:
        uncertainty_record.keep_measured(record, predictor, say)
    elif uncertainty:
        uncertainty_record.calibrate(
            predictor, data, sum(by_site.values(), ScoreCounts()).uncertainty, dates, alpha, say
        )
    say(f"written to {folder}")
    return metrics


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
    signal: float,
) -> dict[str, Any]:
    trained = predictor.trained
    overall = sum(by_site.values(), ScoreCounts())
    regions = {
        region: sum((by_site[s.name] for s in members), ScoreCounts())
        for region, members in sites_by_region(list(sites))
    }
    side = 64
    flops = forward_flops(trained.model, trained.params, side, side) / (side * side)
    return {
        "overall": overall.figures(signal),
        "regions": {name: s.figures(signal) for name, s in regions.items()},
        "sites": {name: s.figures(signal) for name, s in by_site.items()},
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
        "data_range": signal,
        "parameters": cost.parameters(trained.params),
        "mega_flops_per_input_pixel": flops / 1e6,
    }


def _control(trained: Trained) -> str:
    """The input of the segmenter; "capacity" for a joint network without SR supervision."""
    control = str(trained.model.control)
    return "capacity" if control == "joint" and trained.meta.config["loss"]["sr"] == 0 else control


def table(metrics: dict[str, Any]) -> str:
    """Formats the metrics as text: one row per sub-region, one for all, and the images below."""
    head = (
        f"{metrics['label']:<14.14} {'km2':>7} {'precision':>9} {'recall':>7} {'F1':>7} {'IoU':>7} {'macro F1':>8} "
        f"{'OA':>7} {'kappa':>7} {'area':>6} {'ECE':>6}"
    )
    rows = [head]
    for name, figures in [
        *metrics["regions"].items(),
        ("all", metrics["overall"]),
        ("10 m oracle", metrics["overall"]["oracle_10m"]),
    ]:
        isa = figures["isa"]
        km2 = f"{figures['pixels'] / 1e6:7.2f}" if "pixels" in figures else " " * 7
        ece = _cell(figures.get("calibration_error"), 6) if "calibration_error" in figures else " " * 6
        rows.append(
            f"{name:<14.14} {km2} {_cell(isa['precision'], 9)} {_cell(isa['recall'], 7)} {_cell(isa['f1'], 7)} "
            f"{_cell(isa['iou'], 7)} "
            f"{_cell(figures['macro_f1'], 8)} {_cell(figures['oa'], 7)} {_cell(figures['kappa'], 7)} "
            f"{_cell(figures['area_ratio'], 6)} {ece}"
        )
    overall = metrics["overall"]
    rows.append(
        f"with the threshold that is best here: F1 {_cell(overall['f1_best'], 0)}; average precision "
        f"{_cell(overall['average_precision'], 0)}"
    )
    rows += _spatial_lines(overall)
    for stage in metrics["overall"]["stages"]:
        rows.append(
            f"image x{stage['scale']:g}: PSNR {_cell(stage['psnr'], 0)} dB (bicubic "
            f"{_cell(stage['psnr_bicubic'], 0)}), "
            f"SSIM {_cell(stage['ssim'], 0)} (bicubic {_cell(stage['ssim_bicubic'], 0)}), detail "
            f"{_cell(stage['detail'], 0)} of the target's (bicubic {_cell(stage['detail_bicubic'], 0)}), data range "
            f"{metrics['data_range']:.3g}"
        )
    if metrics["overall"].get("support") is not None:
        rows.append(f"image x10: {metrics['overall']['support']:.1%} of its detail is measured, the rest is prior")
    rows.append(
        f"network ({metrics['control']}): {metrics['parameters']:,} parameters, "
        f"{metrics['mega_flops_per_input_pixel']:.2f} MFLOP per 10 m pixel"
    )
    return "\n".join(rows)


def _spatial_lines(overall: dict[str, Any]) -> list[str]:
    """What the whole map shows beyond the counts of its pixels."""
    lines = []
    interval = overall["intervals"]
    if interval["f1"]:
        low, high = interval["f1"]
        lines.append(
            f"F1 of other ground like this: {low:.3f} to {high:.3f} (95 %, {interval['blocks']} blocks of 500 m)"
        )
    errors = overall["fraction"]
    for name, words in (("map", "map"), ("probability", "mean probability"), ("regression_10m", "regression at 10 m")):
        if errors[name]["10m"]["cells"]:
            shown = ", ".join(f"{_cell(error['rmse'], 0)} at {side[:-1]} m" for side, error in errors[name].items())
            lines.append(f"RMSE of the fraction by the {words}: {shown}")
    edges, objects, seen = overall["boundary"]["2m"], overall["objects"], overall["resolution"]["resolution_m"]
    sizes = [
        f"{word} from {size} {unit}" if size else f"no size of {word}"
        for word, size, unit in (
            ("objects", objects["smallest_area_m2"], "m2"), ("widths", objects["smallest_width_m"], "m"),
        )
    ]  # fmt: skip
    resolution = f", effective resolution {seen:.1f} m" if seen else ""
    lines.append(
        f"boundary F1 within 2 m {_cell(edges['f1'], 0)}, IoU {_cell(edges['iou'], 0)}; half or more is found of "
        f"{' and '.join(sizes)}{resolution}"
    )
    return lines


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.3f}"
