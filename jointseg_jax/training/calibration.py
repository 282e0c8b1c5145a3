"""Temperature and threshold, fitted on the validation split and stored with the checkpoint."""

import dataclasses

import numpy as np

_TEMPERATURES = (0.05, 20.0)  # bounds of the search


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Temperature and threshold that turn logits into a map.

    Attributes:
        temperature: divides the logit difference (Guo et al. 2017).
        threshold: a pixel is impervious where the probability is at least this.
        step: at which it was fitted; -1 for the uncalibrated default.
        scores: on the validation split, with this calibration: precision, recall, f1, iou, nll.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    step: int = -1
    scores: dict[str, float] = dataclasses.field(default_factory=dict)


def fit(histogram: np.ndarray, limit: float, step: int) -> Calibration:
    """Fits temperature and threshold on histograms of the logit difference.

    The temperature minimises the negative log-likelihood; the threshold maximises F1 of the impervious class. Without
    pixels of both classes it returns the default, marked with `step`.

    Args:
        histogram: counts [2, bins] over pervious and impervious pixels, bins evenly from -limit to limit.
        limit: of the histogram.
        step: of training.
    """
    from scipy.optimize import minimize_scalar  # these take most of a second, and a map only reads a calibration
    from scipy.special import expit, log_expit

    negative, positive = histogram.astype(np.float64)
    if negative.sum() == 0 or positive.sum() == 0:
        return Calibration(step=step)
    bins = histogram.shape[1]
    centre = (np.arange(bins) + 0.5) / bins * 2 * limit - limit
    total = histogram.sum()

    def nll(log_temperature: float) -> float:
        z = centre / np.exp(log_temperature)
        return float(-(positive * log_expit(z) + negative * log_expit(-z)).sum() / total)

    found = minimize_scalar(nll, bounds=np.log(_TEMPERATURES), method="bounded")
    temperature = float(np.exp(found.x))
    # Thresholds lie between bins: bin k and above count as impervious.
    hits = positive[::-1].cumsum()[::-1]
    called = hits + negative[::-1].cumsum()[::-1]
    f1 = 2 * hits / (called + positive.sum())
    k = int(np.argmax(f1))
    threshold = float(expit((centre[k] - limit / bins) / temperature))
    scores = {
        "precision": float(hits[k] / max(called[k], 1)),
        "recall": float(hits[k] / positive.sum()),
        "f1": float(f1[k]),
        "iou": float(hits[k] / (called[k] + positive.sum() - hits[k])),
        "nll": float(found.fun),
    }
    return Calibration(round(temperature, 6), round(min(max(threshold, 0.005), 0.995), 6), step, scores)


def at_limit(fitted: Calibration) -> bool:
    """Whether the temperature is at a bound of its search, which found no optimum between them."""
    low, high = _TEMPERATURES
    return not 1.01 * low < fitted.temperature < 0.99 * high


def predicted_share(histogram: np.ndarray, edges: np.ndarray, fitted: Calibration) -> float:
    """The share of pixels that a calibration classifies as impervious.

    Args:
        histogram: counts [2, bins] of logit differences over pervious and impervious pixels.
        edges: of the bins, [bins + 1].
        fitted: the calibration.
    """
    from scipy.special import expit

    centre = (edges[:-1] + edges[1:]) / 2
    called = expit(centre / fitted.temperature) >= fitted.threshold
    return float(histogram[:, called].sum()) / float(histogram.sum())
