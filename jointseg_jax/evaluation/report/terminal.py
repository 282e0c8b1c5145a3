"""The figures of an evaluation as text on the terminal."""

from typing import Any

FRACTION_BY = (("map", "map"), ("probability", "mean probability"), ("regression_10m", "regression at 10 m"))


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
        ece = number(figures.get("calibration_error"), 6) if "calibration_error" in figures else " " * 6
        rows.append(
            f"{name:<14.14} {km2} {number(isa['precision'], 9)} {number(isa['recall'], 7)} {number(isa['f1'], 7)} "
            f"{number(isa['iou'], 7)} "
            f"{number(figures['macro_f1'], 8)} {number(figures['oa'], 7)} {number(figures['kappa'], 7)} "
            f"{number(figures['area_ratio'], 6)} {ece}"
        )
    overall = metrics["overall"]
    rows.append(
        f"with the threshold that is best here: F1 {number(overall['f1_best'], 0)}; average precision "
        f"{number(overall['average_precision'], 0)}"
    )
    rows += _spatial_lines(overall)
    for stage in metrics["overall"]["stages"]:
        rows.append(
            f"image x{stage['scale']:g}: PSNR {number(stage['psnr'], 0)} dB (bicubic "
            f"{number(stage['psnr_bicubic'], 0)}), "
            f"SSIM {number(stage['ssim'], 0)} (bicubic {number(stage['ssim_bicubic'], 0)}), "
            f"angle {number(stage['spectral_angle'], 0)} degrees (bicubic "
            f"{number(stage['spectral_angle_bicubic'], 0)}), detail "
            f"{number(stage['detail'], 0)} of the target's (bicubic {number(stage['detail_bicubic'], 0)}), data range "
            f"{metrics['data_range']:.3g}"
        )
        if stage.get("opensr_test", {}).get("chips"):
            named = ("improvement", "omission", "hallucination")
            own, plain = (stage[key] for key in ("opensr_test", "opensr_test_bicubic"))
            shown = ", ".join(f"{name} {number(own[name], 0)} (bicubic {number(plain[name], 0)})" for name in named)
            rows.append(f"image x4 by opensr-test: {shown}, over {own['chips']} chips")
        if "lpips" in stage:
            rows.append(
                f"image x10: LPIPS ({metrics['lpips']['backbone']}) {number(stage['lpips'], 0)} (bicubic "
                f"{number(stage['lpips_bicubic'], 0)}), over {stage['lpips_chips']} chips of "
                f"{metrics['lpips']['chip_m']} m"
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
    for name, words in FRACTION_BY:
        if errors[name]["10m"]["cells"]:
            shown = ", ".join(f"{number(error['rmse'], 0)} at {spaced(side)}" for side, error in errors[name].items())
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
        f"boundary F1 within 2 m {number(edges['f1'], 0)}, IoU {number(edges['iou'], 0)}; half or more is found of "
        f"{' and '.join(sizes)}{resolution}"
    )
    return lines


def spaced(distance: str) -> str:
    """A key such as "10m" as it is written: "10 m"."""
    return f"{distance.removesuffix('m')} m"


def number(value: float | None, width: int) -> str:
    """Three decimals in `width` columns; a dash for None."""
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.3f}"
