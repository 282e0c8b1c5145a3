"""Parts of a monitor: transitions from samples, doubt, classes of ground, shifts, flicker, dates."""

import dataclasses

import numpy as np
import pytest

from jointseg_jax.change.decoding import decode
from jointseg_jax.change.estimation import (
    Sample,
    believable,
    class_means,
    estimate,
    estimate_doubt,
    estimate_sharpness,
    first_chain,
)
from jointseg_jax.change.flicker import changes, flickers
from jointseg_jax.change.ground import Ground, Squares, square_of
from jointseg_jax.change.map_years import period_of
from jointseg_jax.change.maps import parse_maps, time_of
from jointseg_jax.change.transitions import Transitions, over
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window

pytestmark = pytest.mark.quick
TIMES = (2017.5, 2019.5, 2020.5, 2023.5)


def simulated(gain, loss, count, spread=1.5):
    """Calibrated readings of sequences that a chain makes: logits are normal, of mean and variance that fit."""
    rng = np.random.default_rng(0)
    state = rng.uniform(size=count) < 0.5
    states = [state]
    for years in np.diff(TIMES):
        up, down = over(np.float64(years), np.float64(gain), np.float64(loss))
        chance = rng.uniform(size=count)
        state = np.where(state, chance >= down, chance < up)
        states.append(state)
    # Normal logits of mean +-m and variance 2m are calibrated for even priors.
    mean = 2 * spread**2
    logits = np.where(np.array(states), mean, -mean) + rng.normal(0, np.sqrt(2 * mean), (4, count))
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def sample_of(p, kinds=None):
    n = p.shape[1]
    return Sample(p, np.zeros(n, np.int32) if kinds is None else kinds, np.zeros(p.shape, np.float32))


def test_gain_and_loss_are_found_at_unequal_intervals():
    p = np.concatenate([simulated(0.03, 0.01, 12288), simulated(0.1, 0.002, 12288)], 1)
    kinds = np.repeat(np.arange(2, dtype=np.int32), 12288)
    even = np.array([0.5, 0.5])
    chain = estimate(sample_of(p, kinds), first_chain(TIMES, even), even)
    np.testing.assert_allclose(chain.gain, (0.03, 0.1), rtol=0.15)
    np.testing.assert_allclose(chain.loss, (0.01, 0.002), rtol=0.35)
    still = estimate(sample_of(p, kinds), first_chain(TIMES, even), even, loss=0.0)
    assert still.loss == (0.0, 0.0)
    np.testing.assert_allclose(still.gain, (0.03, 0.1), rtol=0.35)
    known = estimate(sample_of(p, kinds), first_chain(TIMES, even), even, gain=0.03, rounds=20)
    assert known.gain == (0.03, 0.03)
    np.testing.assert_allclose(known.loss[0], 0.01, rtol=0.35)


def village():
    """Readings of ground of which 0.1 % is built and nothing changes, as maps store them; errors stay for years."""
    rng = np.random.default_rng(2)
    built = rng.uniform(size=8192) < 0.001
    logits = np.where(built, 2.0, -7.0) + rng.normal(0, 1.2, 8192) + rng.normal(0, 0.6, (4, 8192))
    p = np.round(200 / (1 + np.exp(-logits))).astype(np.float32) / 200
    return p, built


def test_maps_that_are_rounded_to_0_show_no_growth():
    """The prior is the mean of what the decoder sees. A smaller one makes every reading evidence of what was built."""
    p, _ = village()
    means = class_means(sample_of(p), 1)
    chain = estimate(sample_of(p), first_chain(TIMES, means), means)
    assert chain.gain[0] < 0.001
    assert not decode(p[:, None], means, chain).year_index.any()
    rounded = np.array([p.mean()])  # a stored 0 counts as 0
    assert estimate(sample_of(p), first_chain(TIMES, rounded), rounded).gain[0] > 0.1


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_mean_of_a_class_is_that_of_what_is_decoded(sharpness):
    p = simulated(0.01, 0.001, 2000, spread=0.7)[:1]
    p[0, :100] = 0
    means = class_means(dataclasses.replace(sample_of(p), sharpness=sharpness), 2)
    one = first_chain(TIMES[:1], means)
    found = decode(p[:, None], means, one, sharpness=sharpness, classes=np.zeros((1, 2000), int))
    assert found.marginals.mean() == pytest.approx(means[0], rel=1e-4)
    assert means[1] == means[0]  # without a sample


def test_a_given_prior_is_not_what_was_built_at_first():
    """Else what was never built would count as cleared."""
    p, built = village()
    even = np.array([0.5])
    free = estimate(sample_of(p), first_chain(TIMES, even), even, initial=True)
    assert free.initial[0] == pytest.approx(built.mean(), abs=0.001)
    assert free.loss[0] < 0.001
    assert estimate(sample_of(p), first_chain(TIMES, even), even).loss[0] > 0.1


def test_two_dates_do_not_tell_change_from_error():
    """Fields that look a little more like roofs in another season would become a gain of many per cent a year."""
    p, _ = village()
    season = np.array([[0], [1.5]])
    odds = np.log(np.clip(p[:2], 0.0025, 0.9975) / (1 - np.clip(p[:2], 0.0025, 0.9975))) + season
    seasons = sample_of((1 / (1 + np.exp(-odds))).astype(np.float32))
    means = class_means(seasons, 1)
    chain = estimate(seasons, first_chain(TIMES[:2], means), means)
    assert (chain.gain, chain.loss) == ((0.01,), (0.002,))
    assert decode(seasons.probabilities[:, None], means, chain).year_index.mean() < 0.001
    given = estimate(seasons, first_chain(TIMES[:2], means), means, gain=0.03, loss=0.0)
    assert (given.gain, given.loss) == ((0.03,), (0.0,))


def test_a_date_of_noise_is_doubted():
    p = simulated(0.01, 0.001, 8192)
    even = np.array([0.5])
    assert (estimate_doubt(sample_of(p), first_chain(TIMES, even), even) < 0.05).all()
    p[2] = np.random.default_rng(1).permutation(p[2])
    doubt = estimate_doubt(sample_of(p), first_chain(TIMES, even), even)
    assert doubt[2] > 0.3
    assert (np.delete(doubt, 2) < 0.1).all()


def test_flicker_and_changes():
    def of(*states):
        found = np.array(states, np.uint8)[:, None, None]
        return bool(flickers(found)[0, 0]), int(changes(found)[0, 0])

    assert of(1, 0, 1) == (True, 2)
    assert of(1, 255, 0, 255, 1) == (True, 2)
    assert of(0, 1, 1, 0) == (False, 2)
    assert of(0, 1, 0, 1) == (True, 3)
    assert of(255, 0, 255, 1) == (False, 1)
    assert of(255, 255) == (False, 0)


@pytest.mark.parametrize("corner", [(0, 0), (480, 160), (500, 20)])
def test_squares_do_not_depend_on_the_windows_they_are_read_through(corner):
    west, south = corner
    bounds = (west, south, west + 320, south + 300)
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, (2, 300, 320)).astype(np.float32)
    p[:, 100:] *= 0.1
    p[0, 5:9] = np.nan
    region = (np.arange(320) < 100).astype(np.uint8) * np.ones((300, 1), np.uint8)
    whole, parts = Squares(bounds, 160, 1), Squares(bounds, 160, 1)
    whole.add(Window(0, 0, 300, 320), p, region)
    for row, height in ((0, 70), (70, 230)):
        parts.add(Window(row, 0, height, 320), p[:, row : row + height], region[row : row + height])
    np.testing.assert_array_equal(whole.density(), parts.density())
    ground = Ground(("west",))
    (count, total), (again, _) = whole.of_classes(ground), parts.of_classes(ground)
    np.testing.assert_array_equal(count, again)
    assert count.sum() == np.isfinite(p).sum()
    np.testing.assert_allclose(total.sum(), np.nansum(p, dtype=float), rtol=1e-6)
    # A square of the zone's grid has one class, wherever the tile's corner is.
    pixels = whole.of_pixels(whole.density(), Window(0, 0, 300, 320))
    rows, cols = (south + 299 - np.arange(300)) // 160, (west + np.arange(320)) // 160
    for r in set(rows):
        for c in set(cols):
            assert len(np.unique(pixels[np.ix_(rows == r, cols == c)])) == 1


@pytest.mark.parametrize(("grid", "square"), [(10240, 160), (200, 100), (60, 60), (700, 140)])
def test_squares_divide_tiles(grid, square):
    assert square_of(grid) == square


def test_dates_of_maps():
    found = parse_maps(["2023:/d", "2017:/a", "2019-06:/b:c"])
    assert list(found) == ["2017", "2019-06", "2023"]
    assert str(found["2019-06"]) == "/b:c"
    assert time_of("2019") == pytest.approx(2019.5, abs=0.01)
    assert time_of("2019-01-01") == pytest.approx(2019, abs=0.01)
    for wrong in (
        ["2017:/a"],
        ["2017:/a", "2017:/b"],
        ["x:/a", "2017:/b"],
        ["2017/2018:/a", "2019:/b"],
        ["2017", "2019:/b"],
    ):
        with pytest.raises(InputError, match="--maps"):
            parse_maps(wrong)


def test_periods_of_years():
    first, last = period_of("2019", "05-01/09-30")
    assert (first.isoformat(), last.isoformat()) == ("2019-05-01T00:00:00+00:00", "2019-09-30T23:59:59+00:00")
    assert period_of("2019", "11-01/02-15")[1].year == 2020
    assert period_of("2019", None)[1].isoformat() == "2019-12-31T23:59:59+00:00"
    for year, period in (("19", None), ("2019", "05-01"), ("2019", "05/09"), ("2019", "13-01/14-01")):
        with pytest.raises(InputError, match=r"--years|--period_of_year"):
            period_of(year, period)


def test_errors_that_all_dates_share_make_change_surer():
    """Of calibrated readings with errors of their own the factor is 1; where errors stay, more."""
    p = simulated(0.01, 0.002, 8192, spread=1.2)
    assert 0.8 < estimate_sharpness(sample_of(p), first_chain(TIMES, np.array([0.5]))) < 1.25
    logits = np.log(p / (1 - p))
    rng = np.random.default_rng(4)
    stays = np.where(rng.uniform(size=p.shape[1]) < 0.5, 3, -3)
    shared = 1 / (1 + np.exp(-(0.5 * stays + 0.2 * (logits - logits.mean(0)))))
    assert estimate_sharpness(sample_of(shared.astype(np.float32)), first_chain(TIMES, np.array([0.5]))) > 2


def test_shares_above_what_is_believable_are_replaced_unless_they_were_given():
    """Loss and gain by themselves: a class that loses too fast keeps its gain."""
    chain = Transitions(TIMES, (0.1, 0.2, 0.3), (0.24, 0.00002, 0.03), (0.001, 0.43, 0.0))
    found, assumed = believable(chain)
    assert assumed == (("gain",), ("loss",), ())
    assert found.gain == (0.01, 0.00002, 0.03)
    assert found.loss == (0.001, 0.002, 0.0)
    assert found.initial == chain.initial
    assert believable(chain, gain=0.24)[0].gain == chain.gain
    assert believable(chain, loss=0.43)[0].loss == chain.loss
