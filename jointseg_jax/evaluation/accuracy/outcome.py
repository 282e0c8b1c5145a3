"""The outcome of an assessment: accuracy, error-adjusted area and their intervals, as JSON values and as a table."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.estimators import estimate, standard
from jointseg_jax.evaluation.accuracy.intervals import LEVEL, limits
from jointseg_jax.evaluation.accuracy.samples import Sample

GROUPS = ("users", "producers", "area")
METHOD = (
    "stratified estimators of Stehman 2014 (doi:10.1080/01431161.2014.930207); where the strata are the map classes, "
    "those of Olofsson et al. 2014 (doi:10.1016/j.rse.2014.02.015)"
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What estimates need besides the sample.

    Attributes:
        classes: names.
        area: total area of the map, in any unit.
        unit: of areas; empty if only the user knows it.
        interval: kind, see `intervals`.
        mapped: mapped area of every class, if known.
        poststratify: scale to the mapped areas, see `estimators.estimate`.
    """

    classes: Sequence[str]
    area: float
    unit: str
    interval: str
    mapped: np.ndarray | None = None
    poststratify: bool = False


def outcome(sample: Sample, setting: Setting) -> dict[str, Any]:
    """Estimates all figures of a sample.

    Returns:
        JSON values: `overall_accuracy` {value, se, low, high}; `users`, `producers` and `area` the same per class, None
        where a figure is undefined; `proportions`, the error matrix in shares of the area; `mapped_area` and `bias`,
        the mapped area minus the estimated one, where the mapped area is known.
    """
    ratios = standard(len(setting.classes))
    known = setting.mapped / setting.mapped.sum() if setting.poststratify and setting.mapped is not None else None
    found = estimate(sample, ratios, known)
    low, high = limits(setting.interval, sample, ratios, found, known)
    figures = np.stack([found.value, found.se, low, high], -1)
    count = len(setting.classes)
    figures[1 + 2 * count :] *= setting.area
    named = [dict(zip(("value", "se", "low", "high"), map(finite, row), strict=True)) for row in figures.tolist()]
    groups = {
        group: dict(zip(setting.classes, named[1 + i * count : 1 + (i + 1) * count], strict=True))
        for i, group in enumerate(GROUPS)
    }
    cells = found.shares.reshape(count, count)
    record: dict[str, Any] = {"overall_accuracy": named[0], **groups}
    record |= {"proportions": cells.tolist(), "classes": list(setting.classes)}
    if setting.mapped is not None:
        record["mapped_area"] = dict(zip(setting.classes, setting.mapped.tolist(), strict=True))
        estimated = [groups["area"][name]["value"] for name in setting.classes]
        record["bias"] = {
            name: mapped - value
            for name, mapped, value in zip(setting.classes, setting.mapped.tolist(), estimated, strict=True)
        }
    record |= {"area_total": setting.area, "area_unit": setting.unit or "as given"}
    record |= {"interval": setting.interval, "confidence": LEVEL, "poststratified": setting.poststratify}
    return record | {"method": METHOD}


def descriptive(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Plain shares of labelled points whose design is unknown: they describe these points and not the map.

    Args:
        pairs: map class and reference class of every point.

    Raises:
        InputError: there is no point.
    """
    if not pairs:
        raise InputError("the answers have no labelled point")
    classes = sorted({name for pair in pairs for name in pair})
    matrix = np.zeros((len(classes), len(classes)), int)
    for mapped, reference in pairs:
        matrix[classes.index(mapped), classes.index(reference)] += 1
    return {
        "descriptive": True,
        "agreement_of_points": float(np.trace(matrix) / matrix.sum()),
        "matrix": matrix.tolist(),
        "classes": classes,
        "method": "counts of points without a design: no estimate for the map, and no interval",
    }


def finite(value: float) -> float | None:
    """The value as a JSON value: None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def table(record: dict[str, Any]) -> str:
    """The figures of an outcome as lines of text."""
    if record.get("descriptive"):
        return (
            f"descriptive only: {100 * record['agreement_of_points']:.1f} % of these points are right\n"
            "no --design: this is no estimate for the map, and it has no interval"
        )
    percent = round(100 * record["confidence"])
    lines = [f"overall accuracy  {_shown(record['overall_accuracy'], 4)}"]
    for group, words in zip(GROUPS, ("user's accuracy", "producer's accuracy", "area"), strict=True):
        width = max(map(len, record["classes"]))
        lines.append(f"{words}{_unit(record) if group == 'area' else ''}")
        for name, figure in record[group].items():
            mapped = record.get("mapped_area", {}).get(name) if group == "area" else None
            digits = 4 if group != "area" else _digits(record["area_total"])
            also = "" if mapped is None else f"; mapped {mapped:,.{digits}f}"
            lines.append(f"  {name:{width}}  {_shown(figure, digits)}{also}")
    lines.append(f"interval: {record['interval']}, {percent} %")
    if "sample" in record:
        lines += _about(record)
    return "\n".join(lines)


def _about(record: dict[str, Any]) -> list[str]:
    near = record["tolerance"]
    lines = [f"overall accuracy within {near['metres']} m  {_shown(near['overall_accuracy'], 4)}"]
    missing = {k: v for k, v in record["sample"]["response"].items() if v["answered"] < v["points"]}
    lines += [f"no answer: {v['points'] - v['answered']} of {v['points']} in {name}" for name, v in missing.items()]
    if "agreement" in record["sample"]:
        both = record["sample"]["agreement"]
        kappa = "undefined" if both["kappa"] is None else f"{both['kappa']:.3f}"
        share = f"{100 * both['share']:.1f} %"
        lines.append(f"two interpreters agree on {share} (kappa {kappa}) of {both['points']} points")
    return lines


def _unit(record: dict[str, Any]) -> str:
    return f" ({record['area_unit']})"


def _digits(total: float) -> int:
    """Decimals that show a millionth of an area."""
    return max(0, 6 - math.ceil(math.log10(total)))


def _shown(figure: dict[str, float | None], digits: int) -> str:
    if figure["value"] is None:
        return "undefined: the sample has no such unit"
    value, se, low, high = (f"{figure[k]:,.{digits}f}" for k in ("value", "se", "low", "high"))
    return f"{value}  SE {se}  from {low} to {high}"
