"""Sets, intervals and dissimilarity are delivered only after they were calibrated and measured, as measured."""

import dataclasses
import json

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.evaluate import evaluate
from jointseg_jax.evaluation.uncertainty_record import keep_measured
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.uncertainty import FILE, Uncertainty, measured_for, stored_digest, tagged_intervals
from jointseg_jax.mapping.product.write import write_product
from jointseg_jax.storage import formats, typed


def predictor(trained, data, tile=20, **changes):
    halo = halo_for(trained, data.scene("d", trained.meta.contract), say=lambda _: None)
    return Predictor(trained, halo, tile=tile, **changes)


def run(judged, data, split, folder, **changes):
    lines: list[str] = []
    metrics = evaluate(
        judged, data, split, folder, tile=20, uncertainty=True, **{"alpha": 0.3, **changes}, say=lines.append
    )
    return metrics, "\n".join(lines)


def read(product, layer):
    with rasterio.open(product.files[layer]) as raster:
        return np.moveaxis(raster.read(), 0, -1).squeeze(), raster.tags()


@pytest.mark.slow
def test_calibrated_then_measured_then_delivered(judged, data, tmp_path):
    path = judged.workdir / FILE
    mapper = predictor(judged, data)
    with pytest.raises(
        InputError, match=r"uncertainty\.json is missing\): run `jointseg evaluate .*--split=validation`"
    ):
        measured_for(mapper)
    with pytest.raises(InputError, match="were not calibrated"):
        run(judged, data, "test", tmp_path / "early")
    with pytest.raises(InputError, match="calibrates with --split=validation"):
        run(judged, data, "train", tmp_path / "train")
    with pytest.raises(InputError, match=r"--alpha=0\.9"):
        run(judged, data, "validation", tmp_path / "validation", alpha=0.9)

    metrics, said = run(judged, data, "validation", tmp_path / "validation")
    assert "uncertainty" not in metrics["overall"]  # on the ground of the calibration it would look too good
    assert "measure it with --split=test" in said
    with pytest.raises(InputError, match=r"was not measured: run .*--split=test`"):
        measured_for(mapper)
    digest = stored_digest(judged)

    metrics, said = run(judged, data, "test", tmp_path / "test")
    record = measured_for(mapper, digest=digest)
    assert record.digest == digest  # measuring changes no value of a product
    assert typed.plain(record.measured.overall) == typed.plain(metrics["overall"]["uncertainty"])
    assert set(record.measured.regions) == set(metrics["regions"]) == {"north"}
    assert "asked for were 70%" in said

    made = write_product(mapper, data.scene("d", judged.meta.contract), tmp_path / "map", {}, uncertainty=record)
    for layer in ("set", "fraction", "dissimilarity"):
        assert cog_validate(made.files[layer])[0]
    (sets, tags), (fraction, own), (unlike, other) = (read(made, k) for k in ("set", "fraction", "dissimilarity"))
    classes, probability = read(made, "impervious")[0], read(made, "probability")[0]
    with rasterio.open(data.root / data.sites["d"].label) as raster:
        label = raster.read(1)
    known = (label != 255) & (classes != 255)
    worth = record.measured.overall
    np.testing.assert_array_equal(sets == 255, classes == 255)
    np.testing.assert_array_equal(sets[known] & 1, probability[known] <= record.highest_0)
    np.testing.assert_array_equal(sets[known] >> 1, probability[known] >= record.lowest_1)
    for k in (0, 1):
        assert worth.coverage[k] == pytest.approx(((sets[known & (label == k)] >> k) & 1).mean(), abs=2e-3)
    assert tags["SETS_COVERAGE"].startswith(f"class 0 {worth.coverage[0]:.4f}")
    assert tags["UNCERTAINTY_MEASURED_ON"].startswith("toy, test")

    valid = fraction[..., 0] != 255
    true = np.round(200 * (label == 1).reshape(36, 10, 42, 10).mean((1, 3)))
    held = (fraction[..., 1] <= true) & (true <= fraction[..., 2])
    whole = valid & (label != 255).reshape(36, 10, 42, 10).all((1, 3))
    assert worth.intervals["10m"].coverage == pytest.approx(held[whole].mean(), abs=5e-3)
    assert tagged_intervals(own, "100m") == record.intervals["100m"]
    assert json.loads(own["INTERVALS_10M"])["coverage"] == worth.intervals["10m"].coverage
    wrong = (classes != label).reshape(36, 10, 42, 10)
    seen = known.reshape(36, 10, 42, 10)
    inside = (unlike <= 100)[:, None, :, None] & seen
    assert worth.error_inside == pytest.approx(wrong[inside].mean(), abs=2e-3)
    assert other["DISSIMILARITY_ERROR"].startswith(f"inside {worth.error_inside:.4f}")
    assert made.statistics["fraction"][0].valid_share == pytest.approx(valid.mean())

    untiled = write_product(
        predictor(judged, data, 42), data.scene("d", judged.meta.contract), tmp_path / "untiled", {}, uncertainty=record
    )
    np.testing.assert_array_equal(read(untiled, "dissimilarity")[0], unlike)
    assert (read(untiled, "set")[0] != sets).mean() < 0.01  # where the probability is at a threshold
    assert np.abs(read(untiled, "fraction")[0].astype(int) - fraction).max() <= 1

    for change, message in (
        ({"step": 7}, "calibrated for step 7, not for 30"),
        ({"augment": True}, "calibrated for augment True, not for False"),
        ({"dates": 2}, "calibrated for dates 2, not for None"),
        ({"alpha": 0.0}, "damaged"),
        ({"intervals": {"10m": ()}}, "damaged"),
    ):
        formats.write_record(path, {**typed.plain(record), **change}, formats.UNCERTAINTY)
        with pytest.raises(InputError, match=message):
            measured_for(mapper)
    again = dataclasses.replace(record, lowest_1=record.lowest_1 + 1)
    formats.write_record(path, typed.plain(again), formats.UNCERTAINTY)
    with pytest.raises(InputError, match="was calibrated again since this product was begun"):
        measured_for(mapper, digest=digest)
    lines: list[str] = []
    keep_measured(record, mapper, lines.append)  # of the calibration before this one
    assert "was changed meanwhile: run the same command again" in lines[-1]
    assert typed.read(path, Uncertainty, formats.UNCERTAINTY) == again
    path.write_text("{")
    assert stored_digest(judged) == "none"
    with pytest.raises(InputError, match="damaged"):
        measured_for(mapper)
