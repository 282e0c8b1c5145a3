"""Checks the units of values, against the training data and against the physical range."""

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.scene import Adjustment

# Ends messages that refuse a scene.
HARMONISE = (
    "pass --radiometry=harmonise, which is recorded in the map and maps ground unlike that of the training poorly"
)
# The limits reject wrong units, not new kinds of ground. Unit errors are factors of 10 and more, so the limits lie well
# beyond real ground. Level: the median, which a third of cloud does not move, may lie beyond the training range (0.1 to
# 99.9 percentile) by the width of that range: deserts and snow-free fields stay inside, reflectance times 10 does not.
# Spread: open water, the flattest kind of scene, has 1/20 of the training deviation between its 2 and 98 percentile in
# the infrared; values scaled twice have 1/2500.
_ABOVE = 1.0
_FLATTEST = {"reflectance": 1 / 200, "display": 1 / 200, "dB": 1 / 5}  # no limit for metres: a plain is flat
_WIDEST = 3.0  # times the training range, between the 10 and 90 percentile
# A median reflectance below these limits had its offset subtracted twice. Atmospheric correction over water yields
# -0.03 in one band, and -0.01 in several.
_NEGATIVE, _NEGATIVE_IN_HALF = -0.05, -0.015
# No ground has a median below a tenth of the training mean in all bands of the modality with the visible bands: open
# water is dark in the infrared, but not in the blue.
_DARKEST = 0.1
# Beyond this many interquartile ranges from the median a pixel is cloud or damage; bright roofs stay within 13.
_FARTHEST = 15.0


def check_against_training(values: np.ndarray, modality: Modality, where: str, *, visible: bool, scale: float) -> None:
    """Rejects a scene with a level or spread far from the training data's.

    Args:
        values: [n, bands] of valid, cloud-free ground, in the modality's units.
        modality: with the training statistics; without them nothing is checked.
        where: path, for messages.
        visible: whether the modality has visible bands. Without them, water is black in all bands.
        scale: the raster's own GDAL scale, for messages.

    Raises:
        InputError: names the band, the range seen and the training range.
    """
    if modality.units == "dB":
        check_nature(values, modality, where, scale=scale)
    statistics = modality.statistics
    if statistics is None or not len(values):
        return
    p2, p10, p50, p90, p98 = np.percentile(values, (2, 10, 50, 90, 98), axis=0)
    mean, std, low, high = np.array([statistics.mean, statistics.std, statistics.low, statistics.high])
    span = high - low
    too_low = _negative(p50) if modality.units == "reflectance" else p50 < low - _ABOVE * span
    reasons = {
        "its level is too high": p50 > high + _ABOVE * span,
        "its level is too low": too_low,
        "its spread is too small": (p98 - p2) < _FLATTEST.get(modality.units, 0.0) * std,
        "its spread is too large": (p90 - p10) > _WIDEST * span,
    }
    if visible and modality.units == "reflectance" and (p50 < _DARKEST * mean).all():
        reasons["its level is too low"] = np.ones(len(mean), bool)
    for reason, bad in reasons.items():
        for i in np.flatnonzero(bad):
            raise InputError(
                f"{where}: band {modality.bands[i]} ranges from {p2[i]:.4g} to {p98[i]:.4g} {modality.units}, but "
                f"the training data range from {low[i]:.4g} to {high[i]:.4g}; {reason}{_advice(scale)}, or {HARMONISE}"
            )


def check_nature(values: np.ndarray, modality: Modality, where: str, *, scale: float) -> None:
    """Rejects values that no ground has; used by preparation, which has no training statistics.

    Args:
        values: [n, bands] of valid ground, in the modality's units.
        modality: the expected modality.
        where: path, for messages.
        scale: the raster's own GDAL scale, for messages.

    Raises:
        InputError: names the band and the range seen.
    """
    if not len(values):
        return
    p2, p50, p98 = np.percentile(values, (2, 50, 98), axis=0)
    if modality.units == "reflectance":
        bad = (p50 > 2.0) | _negative(p50) | np.full(len(p98), (p98 < 5e-4).all())
    elif modality.units == "dB":
        if (p2 >= 0).all():
            raise InputError(
                f"{where}: band {modality.bands[0]} ranges from {p2[0]:.4g} to {p98[0]:.4g} dB, which no ground "
                "surface has, as no number is negative: it is probably linear power. Convert it (python -m "
                f"jointseg_jax.mapping.tools.derive power {where} OUT), or set dataset.modalities.{modality.name}"
                ".stored='power' in preparation"
            )
        return
    else:
        return
    for i in np.flatnonzero(bad):
        raise InputError(
            f"{where}: band {modality.bands[i]} ranges from {p2[i]:.4g} to {p98[i]:.4g} {modality.units}, which no "
            f"ground surface has{_advice(scale)}"
        )


def harmonise(values: np.ndarray, modality: Modality) -> Adjustment:
    """Fits the gain and offset per band that bring values to the training mean and deviation.

    The fit excludes pixels far from the bulk of their band (unclassified cloud, damage).

    Args:
        values: [n, bands] of valid, cloud-free ground.
        modality: with the training statistics.
    """
    q1, median, q3 = np.percentile(values, (25, 50, 75), axis=0)
    bulk = (np.abs(values - median) <= _FARTHEST * np.maximum(q3 - q1, 1e-6)).all(-1)
    kept = values[bulk] if bulk.mean() > 0.5 else values
    mean, std = modality.normalisation()
    gain = std / np.maximum(kept.std(0, dtype=np.float64), 1e-6)
    offset = mean - gain * kept.mean(0, dtype=np.float64)
    return Adjustment(tuple(float(g) for g in gain), tuple(float(o) for o in offset))


def _negative(median: np.ndarray) -> np.ndarray:
    """Which bands of reflectance are more negative than atmospheric correction makes them, bool [bands]."""
    several = median < _NEGATIVE_IN_HALF
    return np.asarray((median < _NEGATIVE) | (several & (several.mean() >= 0.5)))


def _advice(scale: float) -> str:
    if scale != 1:
        return (
            f" (the file's own scale of {scale:g} was applied): clear that scale if the stored numbers "
            "are in these units already (gdal_edit.py -scale 1 -offset 0)"
        )
    return ": check the scale and offset that the numbers were made with"
