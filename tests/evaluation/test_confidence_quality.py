"""A confidence is delivered only after its quality was measured, and with that quality in its file."""

import json

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate
from scipy import stats

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.confidence_quality import Ranking, margin_levels
from jointseg_jax.evaluation.evaluate import evaluate
from jointseg_jax.mapping.predictor.confidence import FILE, levels
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.product.write import write_product
from jointseg_jax.storage import formats


@pytest.fixture
def ranked():
    """Levels, map and reference of 4,000 pixels, errors more frequent at low levels; some unknown."""
    rng = np.random.default_rng(0)
    score = rng.integers(0, 201, 4000)
    reference = rng.integers(0, 2, 4000)
    mapped = np.where(rng.uniform(size=4000) < 0.5 - score / 500, 1 - reference, reference).astype(np.uint8)
    reference[::17] = 255
    mapped[::13] = 255
    return score, mapped, reference.astype(np.uint8)


def test_auroc_is_mann_whitney(ranked):
    score, mapped, reference = ranked
    ranking = Ranking.of(*ranked)
    known = (mapped != 255) & (reference != 255)
    wrong = known & (mapped != reference)
    right = known & ~wrong
    u = stats.mannwhitneyu(score[right], score[wrong]).statistic
    assert ranking.auroc() == pytest.approx(u / (right.sum() * wrong.sum()), rel=1e-12)
    assert ranking.pixels == known.sum()
    assert ranking.auroc() > 0.6


def test_parts_add_up(ranked):
    parts = [Ranking.of(*(x[a : a + 1000] for x in ranked)) for a in range(0, 4000, 1000)]
    assert sum(parts, Ranking()).figures() == Ranking.of(*ranked).figures()


def test_the_curve_by_hand(ranked):
    score, mapped, reference = ranked
    known = (mapped != 255) & (reference != 255)
    curve = Ranking.of(*ranked).curve()
    assert curve[-1]["coverage"] == 1.0
    assert [p["confidence"] for p in curve] == sorted((p["confidence"] for p in curve), reverse=True)
    for point in curve[:: len(curve) // 7]:
        kept = known & (score >= round(point["confidence"] * 200))
        assert point["coverage"] == pytest.approx(kept.sum() / known.sum())
        assert point["risk"] == pytest.approx((mapped != reference)[kept].mean())


def test_the_area_under_the_curve_by_sorting(ranked):
    score, mapped, reference = ranked
    known = (mapped != 255) & (reference != 255)
    wrong = (mapped != reference)[known].astype(float)
    areas = []
    for seed in range(20):  # equal levels in any order
        order = np.lexsort((np.random.default_rng(seed).uniform(size=known.sum()), -score[known]))
        areas.append((np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)).mean())
    figures = Ranking.of(*ranked).figures()
    assert figures["aurc"] == pytest.approx(np.mean(areas), abs=0.003)
    assert figures["aurc_best"] < figures["aurc"] < figures["aurc_none"]
    best = np.sort(wrong)
    assert figures["aurc_best"] == pytest.approx((np.cumsum(best) / np.arange(1, len(best) + 1)).mean(), abs=2e-3)


def test_extremes():
    ones, zeros = np.ones(10, np.uint8), np.zeros(10, np.uint8)
    assert Ranking.of(np.full(10, 7), ones, ones).auroc() is None
    assert Ranking().figures() == {"auroc": None, "pixels": 0}
    same = Ranking.of(np.full(20, 7), np.r_[ones, ones], np.r_[ones, zeros])
    assert same.auroc() == 0.5
    assert same.figures()["aurc"] == pytest.approx(0.5)
    assert Ranking.of(np.r_[np.full(10, 9), np.full(10, 8)], np.r_[ones, ones], np.r_[ones, zeros]).auroc() == 1.0
    everything = Ranking.of(np.full(10, 7), ones, zeros).figures()
    assert everything["risk"] == everything["aurc"] == everything["aurc_best"] == 1.0


def test_levels():
    spread = np.array([0.0, 0.25, 0.5, 0.50001])
    assert levels(spread).tolist() == [200, 100, 0, 0]
    assert margin_levels(np.array([0.0, 0.3, 0.65, 1.0]), 0.3).tolist() == [200, 0, 100, 200]


def product(trained, data, folder, **changes):
    halo = halo_for(trained, data.scene("d", trained.meta.contract), say=lambda _: None)
    predictor = Predictor(trained, halo, tile=20, **changes)
    return write_product(predictor, data.scene("d", trained.meta.contract), folder, {}, quick=False, confidence=True)


@pytest.mark.slow
def test_without_a_measured_quality_it_is_refused_with_it_delivered(judged, data, tmp_path):
    path = judged.workdir / FILE
    path.unlink(missing_ok=True)
    with pytest.raises(InputError, match="add --augment"):
        product(judged, data, tmp_path / "map")
    with pytest.raises(InputError, match=r"confidence\.json is missing.*jointseg evaluate --workdir=.*--augment"):
        product(judged, data, tmp_path / "map", augment=True)
    evaluate(judged, data, "train", tmp_path / "train", tile=20, augment=True, say=lambda _: None)
    assert not path.exists()  # where it was trained, a network is surer than elsewhere
    assert not (tmp_path / "map").exists()

    lines: list[str] = []
    metrics = evaluate(judged, data, "test", tmp_path / "test", tile=20, augment=True, say=lines.append)
    assert any("AUROC" in line for line in lines)
    record = formats.read_record(path, formats.CONFIDENCE)
    assert metrics["augment"]
    assert record["auroc"] == metrics["overall"]["confidence"]["auroc"]
    assert record["auroc_of_margin"] == metrics["overall"]["margin"]["auroc"]
    assert (record["dataset"], record["split"]) == ("toy", "test")

    made = product(judged, data, tmp_path / "map", augment=True)
    assert cog_validate(made.files["confidence"])[0]
    with rasterio.open(made.files["confidence"]) as raster:
        confidence, tags = raster.read(1), raster.tags()
        assert (raster.nodata, raster.scales) == (255, (1 / 200,))
    with rasterio.open(made.files["impervious"]) as raster:
        classes = raster.read(1)
    with rasterio.open(data.root / data.sites["d"].label) as raster:
        label = raster.read(1)
    np.testing.assert_array_equal(confidence == 255, classes == 255)
    known = (classes != 255) & (label != 255)
    wrong = known & (classes != label)
    u = stats.mannwhitneyu(confidence[known & ~wrong], confidence[wrong]).statistic
    assert record["auroc"] == pytest.approx(u / (float(wrong.sum()) * float((known & ~wrong).sum())), rel=1e-9)
    assert record["risk"] == pytest.approx(wrong.sum() / known.sum())
    assert tags["CONFIDENCE_AUROC"].startswith(f"{record['auroc']:.4f}")
    assert tags["CONFIDENCE_MEASURED_ON"].startswith("toy, test")
    assert tags["CONFIDENCE_RISK_COVERAGE"].endswith(f"1.000:{record['risk']:.4f}")
    assert tags["AUGMENTATION"].startswith("mean of 8")

    with pytest.raises(InputError, match="measured for dtype 'float32', not for 'bfloat16'"):
        product(judged, data, tmp_path / "other", augment=True, dtype="bfloat16")
    for change, said in (
        ({"step": 7}, "measured for step 7, not for 30"),
        ({"weights": "raw"}, "measured for weights 'raw'"),
        ({"auroc": None}, "damaged"),
        ({"auroc": 7.0}, "damaged"),
        ({"curve": []}, "damaged"),
    ):
        formats.write_record(path, {**record, **change}, formats.CONFIDENCE)
        with pytest.raises(InputError, match=said):
            product(judged, data, tmp_path / "other", augment=True)
    path.write_text(json.dumps(record)[:100])
    with pytest.raises(InputError, match="damaged"):
        product(judged, data, tmp_path / "other", augment=True)
    assert not (tmp_path / "other").exists()
    path.unlink()
