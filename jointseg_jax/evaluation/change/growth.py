"""Growth of impervious ground: additive areas by date and period, and the table of their sums."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE


@dataclasses.dataclass(frozen=True)
class Growth(Sums):
    """Areas in square metres, of ground whose states are known on all dates.

    Attributes:
        known: of all this ground.
        impervious: by date [dates].
        gained, lost: between consecutive dates [dates - 1].
    """

    known: float
    impervious: np.ndarray
    gained: np.ndarray
    lost: np.ndarray

    @classmethod
    def of(cls, states: np.ndarray, area: np.ndarray | float = 1.0) -> "Growth":
        """Measures states, uint8 [dates, rows, cols], 255 unknown, whose pixels have an area, m2 (broadcasts)."""
        weight = np.broadcast_to(np.asarray(area, np.float64), states.shape[1:]) * (states != IGNORE).all(0)
        built = states == 1

        def total(where: np.ndarray) -> np.ndarray:
            return np.asarray((where * weight).sum((1, 2)))

        return cls(
            float(weight.sum()),
            total(built),
            total(built[1:] & ~built[:-1]),
            total(~built[1:] & built[:-1]),
        )


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit of area to show: its name, its square metres, decimals."""

    name: str
    m2: float
    digits: int

    def words(self, area: float | None) -> str:
        """An area of so many square metres, without the unit; a hyphen for None."""
        return "-" if area is None else f"{area / self.m2:z,.{self.digits}f}"


def unit_of(ground: float) -> Unit:
    """The unit in which change on so many square metres of ground is no row of zeros."""
    if ground < 1e6:
        return Unit("m2", 1.0, 0)
    return Unit("ha", 1e4, 2) if ground < 1e9 else Unit("km2", 1e6, 2)


def rows(growth: Growth, labels: Sequence[str], years: Sequence[float]) -> list[dict[str, Any]]:
    """The table of one region, a row per period.

    Args:
        growth: of the region.
        labels: names of the dates.
        years: of the dates, with fractions.

    Returns:
        `period`; `years`, its length; `from_m2` and `to_m2`, impervious at its ends; `gain_m2` and `loss_m2`; per year
        `net_m2_per_year`, and `rate_per_year` = (to / from) ** (1 / years) - 1, None where nothing was impervious.
    """
    found = []
    for i, ((a, b), (first, last)) in enumerate(
        zip(itertools.pairwise(labels), itertools.pairwise(years), strict=True)
    ):
        before, after, span = float(growth.impervious[i]), float(growth.impervious[i + 1]), last - first
        found.append(
            {
                "period": f"{a} to {b}", "years": span, "from_m2": before, "to_m2": after,
                "gain_m2": float(growth.gained[i]), "loss_m2": float(growth.lost[i]),
                "net_m2_per_year": (after - before) / span,
                "rate_per_year": (after / before) ** (1 / span) - 1 if before > 0 else None,
            }
        )  # fmt: skip
    return found


def by_region(parts: Mapping[str, Growth], labels: Sequence[str], years: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Known ground, impervious ground by date, and `rows`, of every region."""
    return {
        name: {
            "known_m2": growth.known,
            "impervious_m2": dict(zip(labels, map(float, growth.impervious), strict=True)),
            "periods": rows(growth, labels, years),
        }
        for name, growth in parts.items()
    }
