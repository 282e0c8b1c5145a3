"""Several simulated dates: on disk, re-simulated per patch, and dropped at random."""

import re

import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.data.patches import PatchReader, kept_dates
from jointseg_jax.data.pipeline import Slice, training_batches
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.sensor import SensorSpread

pytestmark = pytest.mark.quick
SPREAD = SensorSpread()


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """A dataset of simulated scenes with three dates."""
    root = tmp_path_factory.mktemp("dated")
    return prepare(toy.scenes(root / "scenes", root / "dataset", dates="3").dataset, say=toy.quiet)


def read(data, path):
    with rasterio.open(data.root / path) as raster:
        return raster.read().astype(float)


def shift_between(first, second):
    """How much further down and right `second` was sampled than `first`, in pixels, by least squares on gradients."""
    inner = np.s_[:, 2:-2, 2:-2]
    down, right = (np.gradient(first, axis=a)[inner].ravel() for a in (1, 2))
    a = np.stack([down, right, first[inner].ravel()], 1)
    solution = np.linalg.lstsq(a, second[inner].ravel(), rcond=None)[0]
    return solution[:2]


def test_the_first_date_is_that_of_a_dataset_with_one(dated, tmp_path):
    single = prepare(toy.scenes(tmp_path / "scenes", tmp_path / "dataset").dataset, say=toy.quiet)
    assert single.contract.dates == 1
    assert dated.contract.dates == 3
    for name, site in dated.sites.items():
        assert site.layers["s2"] == tuple(f"sites/{name}/s2_{date}.tif" for date in range(3))
        before = (single.root / single.sites[name].layers["s2"][0]).read_bytes()
        assert before == (dated.root / site.layers["s2"][0]).read_bytes()


def test_later_dates_are_shifted_as_their_notes_say(dated):
    stated, measured = [], []
    for site in dated.sites.values():
        first, *later = (read(dated, path) for path in site.layers["s2"])
        notes = [note for note in site.notes if "sampled" in note]
        assert len(notes) == len(later) == 2
        stated += [[float(v) / 10 for v in re.findall(r"([+-]\d+\.\d+) m", note)] for note in notes]
        measured += [shift_between(first, other) for other in later]
    stated, measured = np.array(stated), np.array(measured)
    assert stated.std() > 0.05
    assert np.abs(stated).max() < 0.8
    np.testing.assert_allclose(measured, stated, atol=0.03, rtol=0.35)  # central differences see gradients too small


def test_dates_do_not_depend_on_how_many_there_are(dated, tmp_path):
    fewer = prepare(toy.scenes(tmp_path / "scenes", tmp_path / "dataset", dates="2").dataset, say=toy.quiet)
    for name, site in fewer.sites.items():
        for ours, theirs in zip(site.layers["s2"], dated.sites[name].layers["s2"][:2], strict=True):
            np.testing.assert_array_equal(read(fewer, ours), read(dated, theirs))


def test_a_patch_is_simulated_anew_on_every_date(dated):
    reader = PatchReader(dated, "train", dated.contract, SPREAD)
    stored = reader.read(0)["inputs"]["s2"]
    sample = reader.read(0, np.random.default_rng(1))["inputs"]["s2"]
    assert sample["values"].shape == stored["values"].shape == (3, 12, 12, 3)
    assert sample["valid"].mean() > 0.9
    for date in range(3):
        others = [stored["values"][date], *(sample["values"][k] for k in range(3) if k != date)]
        for other in others:
            assert 0.003 < np.abs(sample["values"][date] - other).mean() < 0.1
    again = reader.read(0, np.random.default_rng(1))["inputs"]["s2"]["values"]
    np.testing.assert_array_equal(again, sample["values"])


@pytest.mark.parametrize("spread", [None, SPREAD], ids=["stored", "simulated"])
def test_samples_see_one_date_up_to_all(dated, spread):
    reader = PatchReader(dated, "train", dated.contract, spread, date_dropout=1.0)
    seen = []
    for seed in range(40):
        sample = reader.read(seed % len(reader), np.random.default_rng(seed))["inputs"]["s2"]
        dates = sample["valid"].any((1, 2))
        assert ((sample["valid"].mean((1, 2)) > 0.8) == dates).all()  # a shifted date lacks an edge of the scene
        assert not sample["values"][~dates].any()
        seen.append(tuple(dates))
    assert {sum(dates) for dates in seen} == {1, 2, 3}
    assert all(any(dates[k] for dates in seen) and not all(dates[k] for dates in seen) for k in range(3))
    assert reader.read(0)["inputs"]["s2"]["valid"].any((1, 2)).all()  # validation sees all dates


def test_one_date_of_every_sample_lies_on_the_image(dated):
    """The first of those that dropout keeps, as in evaluation; the others are shifted."""
    reader = PatchReader(dated, "train", dated.contract, SensorSpread(mtf=0.0, shift=0.0, gain=0.0, snr=1.0), 1.0)
    stored = reader.read(4)["inputs"]["s2"]["values"][0]
    apart: list[list[float]] = [[], []]
    for seed in range(12):
        sample = reader.read(4, np.random.default_rng(seed))["inputs"]["s2"]
        kept = np.flatnonzero(sample["valid"].any((1, 2)))
        for k, date in enumerate(kept):
            both = sample["valid"][date]
            apart[min(k, 1)].append(float(np.abs(sample["values"][date] - stored)[both].mean()))
    first, later = apart
    assert len(first) == 12
    assert len(later) > 4
    assert max(first) < 0.01  # noise
    assert np.mean(later) > 2 * np.mean(first)


def test_batches_do_not_depend_on_processes(dated):
    reader = PatchReader(dated, "train", dated.contract, SPREAD, date_dropout=1.0)

    def batch(**changes):
        batches = training_batches(reader, **{"batch": 4, "seed": 0, "start": 2, **changes})
        found = next(batches)["inputs"]["s2"]
        batches.close()
        return found

    whole = batch()
    halves = [batch(slice_=Slice(k, 2), threads=1) for k in range(2)]
    for key, values in whole.items():
        np.testing.assert_array_equal(values, np.concatenate([half[key] for half in halves]))


def test_all_numbers_of_dates_are_equally_frequent():
    rng = np.random.default_rng(0)
    kept = np.array([kept_dates(np.ones(4, bool), 1.0, rng) for _ in range(4000)])
    assert np.abs(np.bincount(kept.sum(1), minlength=5)[1:] / 4000 - 0.25).max() < 0.03
    assert np.ptp(kept.mean(0)) < 0.05


def test_a_date_with_data_remains():
    rng = np.random.default_rng(0)
    seen = np.array([False, True, False, True])
    assert all((kept_dates(seen, 1.0, rng) & seen).any() for _ in range(200))
    assert kept_dates(seen, 0.0, rng).all()
    state = rng.bit_generator.state
    kept_dates(seen, 0.0, rng)
    assert rng.bit_generator.state == state
