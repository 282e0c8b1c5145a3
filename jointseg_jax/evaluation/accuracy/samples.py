"""Labelled samples as shares of cells per stratum; a cell is a pair of map class and reference class.

Cells are numbered row by row: cell = map class * classes + reference class. Leading axes (`...`) hold several samples
of one design, as in a simulation.
"""

import dataclasses
import functools

import numpy as np

_ROUNDING = 1e-12


@dataclasses.dataclass(frozen=True)
class Points:
    """Points: every unit lies in one cell.

    Attributes:
        counts: labelled points by cell [..., strata, cells].
        sizes: size N_h of every stratum, in pixels or as an area [..., strata].
        possible: cells that can occur in a stratum, bool [strata, cells].
        fpc: finite population correction 1 - n_h / N_h, or 1 [strata].
    """

    counts: np.ndarray
    sizes: np.ndarray
    possible: np.ndarray
    fpc: np.ndarray

    @functools.cached_property
    def units(self) -> np.ndarray:
        """Labelled units n_h [..., strata]."""
        return np.asarray(self.counts.sum(-1))

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Mean content of a unit by cell [..., strata, cells]."""
        return np.asarray(self.counts / self.units[..., None])

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Variance between the units of a stratum (divisor n_h - 1) of a sum over cells.

        Args:
            values: of every cell [..., figures, cells].

        Returns:
            [..., figures, strata].
        """
        across = np.swapaxes(self.mean, -1, -2)
        first, second = values @ across, np.square(values) @ across
        n = self.units[..., None, :]
        variance = second - np.square(first)
        # Rounding must not make a variance of equal units.
        return np.where(variance > _ROUNDING * second, variance, 0) * n / (n - 1)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Blocks: a unit holds several labelled points or pixels, which are not independent of each other.

    Attributes:
        content: points by cell in every block [blocks, cells].
        stratum: of every block [blocks].
        sizes, possible, fpc: see `Points`; sizes in blocks, or as their area if all blocks are equally large.
    """

    content: np.ndarray
    stratum: np.ndarray
    sizes: np.ndarray
    possible: np.ndarray
    fpc: np.ndarray

    @functools.cached_property
    def units(self) -> np.ndarray:
        """See `Points`."""
        return np.bincount(self.stratum, minlength=len(self.sizes)).astype(float)

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """See `Points`."""
        return self._per_stratum(self.content) / self.units[:, None]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """See `Points`."""
        found = self.content @ values.T
        mean = self._per_stratum(found) / self.units[:, None]
        return (self._per_stratum(np.square(found - mean[self.stratum])) / (self.units[:, None] - 1)).T

    def _per_stratum(self, values: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(self.sizes), values.shape[1]))
        np.add.at(sums, self.stratum, values)
        return sums


Sample = Points | Blocks


def of_matrix(counts: np.ndarray, areas: np.ndarray) -> Points:
    """The sample behind an error matrix whose strata are the map classes.

    Args:
        counts: sample counts [..., map classes, reference classes].
        areas: mapped area per class [..., classes]; without finite population correction, as in Olofsson et al. 2014.
    """
    classes = counts.shape[-1]
    own = np.eye(classes)[:, :, None] * counts[..., :, None, :].astype(float)
    cells = own.reshape(*counts.shape[:-2], classes, classes * classes)
    return Points(cells, areas.astype(float), own_rows(np.eye(classes, dtype=bool)), np.ones(classes))


def own_rows(classes: np.ndarray) -> np.ndarray:
    """The cells that can occur in strata, bool [strata, cells].

    Args:
        classes: map classes that can occur in every stratum, bool [strata, classes].
    """
    return np.repeat(classes, classes.shape[1], axis=1)
