"""The charts of an evaluation where there is little to show."""

from jointseg_jax.evaluation.report import charts


def test_ground_too_small_or_too_plain_for_any_scale_has_an_empty_chart():
    """A map of one class correlates with nothing at any period, and a small site has no whole cell."""
    empty = {side: {"cells": 0, "rmse": None} for side in ("10m", "30m")}
    overall = {
        "resolution": {"correlation": {"4m": None, "128m": None}},
        "fraction": dict.fromkeys(("map", "probability", "regression_10m"), empty),
    }
    assert charts.scales(overall).png.startswith(b"\x89PNG")
