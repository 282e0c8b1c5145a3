"""How often ground is built on and cleared: a two-state Markov chain in continuous time, by class of ground.

Rates are per year, so maps with unequal intervals share them. Over `t` years the chain with the yearly shares of gain g
and loss l turns pervious ground impervious with probability g / (g + l) * (1 - (1 - g - l)^t), and the other way with
l in place of the first g: the t-th power of the yearly matrix.
"""

import dataclasses

import numpy as np

LEAST, MOST = 1e-7, 0.45  # bounds of a yearly share: g + l stays below 1, so all powers of the matrix exist


@dataclasses.dataclass(frozen=True)
class Transitions:
    """The chain of every class of ground.

    Attributes:
        years: of the dates, ascending, in years and fractions of a year [dates].
        initial: per class, the share that is impervious at the first date.
        gain: per class, the share of pervious ground that is built on within a year.
        loss: per class, the share of impervious ground that is cleared within a year; 0 for irreversible growth.
    """

    years: tuple[float, ...]
    initial: tuple[float, ...]
    gain: tuple[float, ...]
    loss: tuple[float, ...]

    def __post_init__(self) -> None:
        if len({len(self.initial), len(self.gain), len(self.loss)}) != 1 or not self.initial:
            raise ValueError("initial, gain and loss need one value per class")
        if not self.years or any(b <= a for a, b in zip(self.years, self.years[1:], strict=False)):
            raise ValueError(f"the years {self.years} do not ascend")
        if not all(0 < v < 1 for v in self.initial):
            raise ValueError(f"initial shares {self.initial} are not between 0 and 1")
        if not all(0 <= v <= MOST for v in (*self.gain, *self.loss)):
            raise ValueError(f"yearly shares {self.gain}, {self.loss} are not between 0 and {MOST}")

    @property
    def intervals(self) -> np.ndarray:
        """Years between consecutive dates [dates - 1]."""
        return np.diff(np.asarray(self.years, np.float64))

    def irreversible(self) -> "Transitions":
        """The same chain without loss."""
        return dataclasses.replace(self, loss=(0.0,) * len(self.loss))

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Probability of gain and of loss from each date to the next, float64 [dates - 1, classes]."""
        return over(self.intervals[:, None], np.asarray(self.gain), np.asarray(self.loss))


def over(years: np.ndarray, gain: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability of gain and of loss over some years, from the yearly shares; arrays broadcast.

    The formula's limit for vanishing shares is share * years.
    """
    total = np.asarray(gain + loss, np.float64)
    factor = np.where(total > 0, -np.expm1(years * np.log1p(-total)) / np.where(total > 0, total, 1), years)
    return gain * factor, loss * factor
