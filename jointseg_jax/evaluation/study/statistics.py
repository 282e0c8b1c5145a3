"""The statistics of a study: rows over folds and seeds.

Folds differ far more than rows do, so rows are compared within a fold: the difference of two rows is taken per fold
(mean over the seeds that both have), and its interval comes from the folds' differences (Student's t, 95 %).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

_LEVEL = 0.95
REFERENCES = ("bilinear", "joint")


@dataclasses.dataclass(frozen=True)
class Difference:
    """A paired difference of two rows.

    Attributes:
        mean: over folds.
        low, high: of the interval; NaN with fewer than two folds.
        folds: number of folds that both rows have.
        ahead: number of them in which the difference is positive.
    """

    mean: float
    low: float
    high: float
    folds: int
    ahead: int


def means(results: Sequence[Mapping[str, Any]], row: str, key: str) -> dict[tuple[str, int], float]:
    """A figure of a row by fold and seed, where it is known."""
    return {(r["fold"], r["seed"]): float(r[key]) for r in results if r["row"] == row and r.get(key) is not None}


def mean(results: Sequence[Mapping[str, Any]], row: str, key: str) -> float | None:
    """The mean over folds of the means over seeds; None without a figure."""
    found = means(results, row, key)
    by_fold = [np.mean([v for (fold, _), v in found.items() if fold == f]) for f in {fold for fold, _ in found}]
    return float(np.mean(by_fold)) if by_fold else None


def difference(results: Sequence[Mapping[str, Any]], row: str, reference: str, key: str) -> Difference | None:
    """The paired difference of a row from a reference row; None without a fold and seed that both have."""
    a, b = means(results, row, key), means(results, reference, key)
    shared = sorted(set(a) & set(b))
    if not shared:
        return None
    folds = sorted({fold for fold, _ in shared})
    values = np.array([np.mean([a[at] - b[at] for at in shared if at[0] == fold]) for fold in folds])
    low = high = math.nan
    if len(values) > 1:
        half = stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        low, high = float(values.mean() - half), float(values.mean() + half)
    return Difference(float(values.mean()), low, high, len(values), int((values > 0).sum()))


def shown(found: Difference | None) -> str:
    """A difference and its interval in a cell of a table."""
    if found is None:
        return ""
    bounds = f"{found.low:+.3f} to {found.high:+.3f}" if found.folds > 1 else "one fold"
    return f"{found.mean:+.3f} ({bounds})"


def rows_of(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows, best mean F1 first."""
    names = dict.fromkeys(str(r["row"]) for r in results)
    return sorted(names, key=lambda name: -(mean(results, name, "f1") or 0.0))
