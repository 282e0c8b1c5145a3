"""Estimators of accuracy and area: all are ratios of two totals over a stratified sample.

With y_u and x_u the indicator (or, for blocks, the content) of a unit u, the ratio is R = Y / X with
Y = sum_h N_h mean_h(y), and its variance sum_h N_h^2 (1 - n_h / N_h) s_h^2(y - R x) / n_h / X^2: Stehman 2014,
equations 27 and 28. Overall accuracy and area have x = 1, where this is the usual stratified estimator (his equations 3
and 25). If the strata are the map classes these are the estimators of Olofsson et al. 2014, equations 1 to 11. For
blocks it is the ratio estimator of cluster sampling, with the variance between blocks.
"""

import dataclasses

import numpy as np

from jointseg_jax.evaluation.accuracy.samples import Sample


@dataclasses.dataclass(frozen=True)
class Ratios:
    """Figures as ratios of sums over cells, in the order overall accuracy, user's, producer's, area of every class.

    Attributes:
        over, under: weights of the cells in the numerator and in the denominator [figures, cells].
    """

    over: np.ndarray
    under: np.ndarray

    @property
    def classes(self) -> int:
        """Number of classes."""
        return (len(self.over) - 1) // 3


def standard(classes: int) -> Ratios:
    """Overall accuracy, then user's accuracy, producer's accuracy and share of the area of every class."""
    row, col = np.indices((classes, classes)).reshape(2, -1)
    one = np.arange(classes)[:, None]
    right, all_ = row == col, np.ones((classes, classes * classes), bool)
    over = [right[None], right & (row == one), right & (col == one), col == one]
    under = [all_[:1], row == one, col == one, all_]
    return Ratios(np.concatenate(over).astype(float), np.concatenate(under).astype(float))


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Estimates of ratios.

    Attributes:
        value: NaN where the denominator is zero, such as the producer's accuracy of a class that no reference has
            [..., figures].
        se: standard error [..., figures].
        parts: contribution of every stratum to the variance [..., figures, strata].
        shares: estimated share of the area by cell [..., cells].
    """

    value: np.ndarray
    se: np.ndarray
    parts: np.ndarray
    shares: np.ndarray


def estimate(sample: Sample, ratios: Ratios, mapped: np.ndarray | None = None) -> Estimates:
    """Estimates ratios with their standard errors.

    Args:
        sample: with at least two units in every stratum.
        ratios: see `standard`.
        mapped: known share of the area of every map class, for poststratification: the shares of the cells are scaled
            to it. Where the strata are the map classes this changes nothing. None for none.
    """
    weights = sample.sizes / sample.sizes.sum(-1, keepdims=True)
    shares = np.asarray((weights[..., None, :] @ sample.mean)[..., 0, :])
    total = shares.sum(-1, keepdims=True)
    scale = np.ones_like(shares) if mapped is None else _scale(shares, mapped)
    shares, raw = shares * scale, shares
    value, influence = _linearised(shares, ratios)
    if mapped is not None:
        influence = _poststratified(np.nan_to_num(influence), scale, raw)
    spread = sample.spread(np.nan_to_num(influence))
    parts = np.square(weights)[..., None, :] * sample.fpc * spread / sample.units[..., None, :]
    se = np.where(np.isnan(value), np.nan, np.sqrt(parts.sum(-1)))
    return Estimates(value, se, parts, shares / total if mapped is None else shares)


def difference(sample: Sample, first: Ratios, second: Ratios) -> tuple[np.ndarray, np.ndarray]:
    """First minus second ratios, [figures] each, with the standard error of the difference.

    Both are of the same units, so the influence of a unit on the difference is the difference of its influences.
    """
    weights = sample.sizes / sample.sizes.sum()
    shares = weights @ sample.mean
    (value, influence), (other, others) = (_linearised(shares, ratios) for ratios in (first, second))
    value = value - other
    spread = sample.spread(np.nan_to_num(influence - others))
    se = np.sqrt((np.square(weights) * sample.fpc * spread / sample.units).sum(-1))
    return value, np.where(np.isnan(value), np.nan, se)


def _linearised(shares: np.ndarray, ratios: Ratios) -> tuple[np.ndarray, np.ndarray]:
    """Ratios [..., figures], and the influence of a unit's content by cell, (y - R x) / X [..., figures, cells]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        x = shares @ ratios.under.T
        value = (shares @ ratios.over.T) / x
        return value, (ratios.over - value[..., None] * ratios.under) / x[..., None]


def _scale(shares: np.ndarray, mapped: np.ndarray) -> np.ndarray:
    """Factor of every cell that brings the estimated area of each map class to the known one."""
    classes = len(mapped)
    found = shares.reshape(*shares.shape[:-1], classes, classes).sum(-1)
    factor = np.where(found > 0, mapped / np.where(found > 0, found, 1), 0)
    return np.repeat(factor, classes, axis=-1)


def _poststratified(influence: np.ndarray, scale: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """The influence after scaling: deviations from the mean of the map class, times its factor."""
    classes = round(raw.shape[-1] ** 0.5)
    rows = raw.reshape(*raw.shape[:-1], 1, classes, classes)
    own = influence.reshape(*influence.shape[:-1], classes, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nan_to_num((own * rows).sum(-1, keepdims=True) / rows.sum(-1, keepdims=True))
    return np.asarray((own - mean).reshape(influence.shape) * scale[..., None, :])
