"""The report of an evaluation: report.html, one page with everything inside, and report.md with its charts."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from jointseg_jax import pages
from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.evaluation.report import charts
from jointseg_jax.evaluation.report.terminal import FRACTION_BY, number, spaced
from jointseg_jax.mapping.records.model_card import describe
from jointseg_jax.pages import Block, Code, Heading, Paragraph, Picture, Table
from jointseg_jax.storage.files import atomic_path, write_text
from jointseg_jax.training.trained import Trained

PAGE, _MARKDOWN = "report.html", "report.md"
FILES = (PAGE, _MARKDOWN, "reliability.png", "sizes.png", "scales.png")
_LISTED = 60  # sites in the table and pictures, at most
_RATIO = "mapped / reference"
_INTERVALS = {
    "precision": "precision", "recall": "recall", "f1": "F1", "iou": "IoU", "area_ratio": f"area, {_RATIO}",
}  # fmt: skip


def write(
    folder: pathlib.Path,
    metrics: dict[str, Any],
    trained: Trained,
    data: Dataset,
    sites: Sequence[Site],
    command: str = "",
) -> None:
    """Writes the report of an evaluation into its folder, where the panels of the sites lie.

    Args:
        folder: of the evaluation.
        metrics: content of metrics.json.
        trained: the network.
        data: the dataset.
        sites: those evaluated.
        command: that made the evaluation; empty if none.
    """
    title = f"{metrics['label']} by {metrics['experiment']}, on {metrics['dataset']} ({metrics['split']})"
    blocks = [*_head(metrics, trained, data, command), *_figures(metrics)]
    for site in sites[:_LISTED]:
        panels = folder / f"{site.name}.png"
        if panels.exists():
            caption = f"{site.name}: input, images, label, map and errors"
            blocks.append(Picture(panels.read_bytes(), caption, panels.name))
    blocks += _card(metrics, trained)
    for block in blocks:
        if isinstance(block, Picture) and block.drawn:
            with atomic_path(folder / block.name) as temporary:
                pathlib.Path(temporary).write_bytes(block.png)
    write_text(folder / PAGE, pages.to_html(title, blocks))
    write_text(folder / _MARKDOWN, pages.to_markdown(title, blocks))


def _head(metrics: dict[str, Any], trained: Trained, data: Dataset, command: str) -> Iterator[Block]:
    number = len(metrics["sites"])
    yield Paragraph(
        f"{metrics['pixels'] / 1e6:.2f} km2 of {number} site{'s' * (number != 1)}, each labelled pixel once. Sites are "
        "no random sample of a region: these figures describe the map on them. The accuracy of a region needs a "
        "probability sample (docs/accuracy.md). Every figure is explained in docs/evaluation.md."
    )
    about = data.description
    yield Paragraph(
        f"Dataset {metrics['dataset']}: licence {about.get('licence') or 'not stated'}; provenance: "
        f"{about.get('provenance') or 'not stated'}. Trained on dataset {trained.meta.dataset.get('name')}."
    )
    if command:
        yield Code(command)


def _figures(metrics: dict[str, Any]) -> Iterator[Block]:
    overall = metrics["overall"]
    yield Heading("Scores")
    named = [*metrics["regions"].items(), ("all", overall), ("10 m oracle", overall["oracle_10m"])]
    head = ("region", "km2", "precision", "recall", "F1", "IoU", "macro F1", "OA", "kappa", _RATIO, "ECE")
    yield Table(head, [_scores(name, figures) for name, figures in named])
    found = overall["intervals"]
    if found["f1"]:
        limits = {words: found[key] for key, words in _INTERVALS.items()}
        rows = [(words, *(number(value, 0) for value in pair or (None, None))) for words, pair in limits.items()]
        yield Paragraph(
            f"95 % intervals by bootstrap over {found['blocks']} blocks of 500 m: the variation with the ground, not "
            "with the training."
        )
        yield Table(("figure", "low", "high"), rows)
    else:
        yield Paragraph(f"No intervals: blocks of 500 m with a label: {found['blocks']}, too few.")
    if not overall["pixels"]:
        yield Paragraph("No pixel is labelled, so the map is not judged.")
    else:
        yield from _map_figures(overall)
    yield from _image_figures(metrics)
    yield Heading("Sites")
    head = ("site", *head[1:])
    yield Table(head, [_scores(name, figures) for name, figures in list(metrics["sites"].items())[:_LISTED]])
    if len(metrics["sites"]) > _LISTED:
        yield Paragraph(f"The first {_LISTED} of {len(metrics['sites'])} sites; metrics.json has all.")


def _scores(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    isa = figures["isa"]
    km2 = f"{figures['pixels'] / 1e6:.2f}" if "pixels" in figures else ""
    values = (
        isa["precision"], isa["recall"], isa["f1"], isa["iou"], figures["macro_f1"], figures["oa"], figures["kappa"],
        figures["area_ratio"], figures.get("calibration_error"),
    )  # fmt: skip
    return (name, km2, *(number(value, 0) for value in values))


def _map_figures(overall: dict[str, Any]) -> Iterator[Block]:
    yield Heading("The probability")
    yield Paragraph(
        f"Brier score {number(overall['brier'], 0)}, calibration error {number(overall['calibration_error'], 0)}, "
        f"average precision {number(overall['average_precision'], 0)}; F1 with the threshold that is best here "
        f"{number(overall['f1_best'], 0)}."
    )
    yield charts.reliability(overall)
    yield Heading("Boundaries")
    rows = [
        (spaced(tolerance), *(number(b[key], 0) for key in ("precision", "recall", "f1", "iou")))
        for tolerance, b in overall["boundary"].items()
    ]
    yield Table(("tolerance", "precision", "recall", "F1", "IoU"), rows)
    yield Heading("Objects and widths")
    yield charts.sizes(overall)
    yield Heading("Scales")
    seen = overall["resolution"]["resolution_m"]
    yield Paragraph(
        "Effective resolution: "
        + (
            f"{seen:.1f} m."
            if seen
            else "unknown, because no window of 128 m is labelled, or not even its coarsest pattern agrees."
        )
    )
    yield charts.scales(overall)
    rows = [
        (words, spaced(side), f"{e['cells']:,}", *(number(e[key], 0) for key in ("bias", "rmse", "r2")))
        for name, words in FRACTION_BY
        for side, e in overall["fraction"][name].items()
        if e["cells"]
    ]
    yield Table(("fraction by", "cell", "cells", "bias", "RMSE", "R2"), rows)
    yield Heading("Density of the label")
    yield Table(
        ("density in 100 m from", "km2", "precision", "recall", "F1", _RATIO),
        [
            (
                f"{row['from']:.0%}",
                f"{row['pixels'] / 1e6:.2f}",
                *(number(row["isa"][key], 0) for key in ("precision", "recall", "f1")),
                number(row["area_ratio"], 0),
            )
            for row in overall["by_density"]
        ],
    )


def _image_figures(metrics: dict[str, Any]) -> Iterator[Block]:
    overall = metrics["overall"]
    if not overall["stages"]:
        return
    yield Heading("Super-resolved images")
    named = (("PSNR dB", "psnr"), ("SSIM", "ssim"), ("angle deg", "spectral_angle"), ("detail", "detail"))
    head = [column for name, _ in named for column in (name, "bicubic")]
    rows = [
        (f"{10 / stage['scale']:g}", *(number(stage[key + of], 0) for _, key in named for of in ("", "_bicubic")))
        for stage in overall["stages"]
    ]
    yield Table(("spacing m", *head), rows)
    yield from _correctness(overall["stages"])
    yield from _lpips(metrics)
    words = [f"Data range of PSNR and SSIM: {metrics['data_range']:.3g}."]
    if overall.get("support") is not None:
        words.append(
            f"{overall['support']:.1%} of the detail at 1 m is measured; the rest is learned from other ground and may "
            "be invented. The panels show where (prior)."
        )
    if overall.get("consistency"):
        again = overall["consistency"]
        share = again["rmse_over_noise"]
        words.append(
            f"Observed again by the sensor, the 1 m image differs from the input by {again['rmse']:.2g} (RMSE; bias "
            f"{again['bias']:.2g}), "
            + ("whose noise is not known." if share is None else f"{share:.2f} times the noise of one observation.")
        )
    yield Paragraph(" ".join(words))


def _correctness(stages: list[dict[str, Any]]) -> Iterator[Block]:
    shares = ("improvement", "omission", "hallucination")
    for stage in stages:
        if stage.get("opensr_test", {}).get("chips"):
            rows = [
                (name, str(stage[key]["chips"]), *(number(stage[key][share], 0) for share in shares))
                for name, key in (("image at 2.5 m", "opensr_test"), ("bicubic", "opensr_test_bicubic"))
            ]
            yield Table(("by opensr-test", "chips", *shares), rows)


def _lpips(metrics: dict[str, Any]) -> Iterator[Block]:
    if "lpips" not in metrics:
        return
    about, stage = metrics["lpips"], metrics["overall"]["stages"][-1]
    rows = [(name, number(stage[key], 0)) for name, key in (("image at 1 m", "lpips"), ("bicubic", "lpips_bicubic"))]
    yield Table((f"LPIPS with {about['backbone']}", "distance"), rows)
    files = "; ".join(f"{file['name']} (SHA-256 {file['sha256']})" for file in about["files"])
    yield Paragraph(
        f"LPIPS over {stage['lpips_chips']} chips of {about['chip_m']} m; less is more alike. Its weights were trained "
        f"on photographs, so it judges how alike image and target look, not what is true. Weights: {files}."
    )


def _card(metrics: dict[str, Any], trained: Trained) -> Iterator[Block]:
    calibration = metrics["calibration"]
    yield Heading("Model card")
    yield Paragraph(describe(trained))
    rows = [
        ("checkpoint", f"step {metrics['step']}, {metrics['weights']} weights"),
        ("segmenter's input", metrics["control"]),
        ("parameters", f"{metrics['parameters']:,}"),
        ("MFLOP per 10 m pixel", f"{metrics['mega_flops_per_input_pixel']:.2f}"),
        ("temperature, threshold", f"{calibration['temperature']:.3f}, {calibration['threshold']:.3f}"),
        ("halo, 10 m pixels", str(metrics["halo"])),
        ("precision", metrics["dtype"]),
    ]
    yield Table(("", ""), rows)
