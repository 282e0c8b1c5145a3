"""What speaks against a run is said while it goes on."""

import numpy as np
import pytest
import toy

from jointseg_jax.configs import common
from jointseg_jax.errors import InputError
from jointseg_jax.training import calibration, doubts
from jointseg_jax.training.planning.step_memory import check_room
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.step import LOGIT_LIMIT
from jointseg_jax.training.validation import ValidationResult

BINS = 400
EDGES = np.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, BINS + 1)


def validated(negative, positive):
    """Of logit differences of pervious and impervious pixels."""
    counts = np.stack([np.histogram(np.clip(x, -LOGIT_LIMIT, LOGIT_LIMIT), EDGES)[0] for x in (negative, positive)])
    return ValidationResult(calibration.fit(counts.astype(float), LOGIT_LIMIT, 0), {}, counts, EDGES, 0)


def learned():
    rng = np.random.default_rng(0)
    return validated(rng.normal(-2, 2, 9000), rng.normal(2, 2, 1000))


def idle():
    """The same logit whatever the ground."""
    rng = np.random.default_rng(0)
    return validated(rng.normal(0, 1e-3, 9000), rng.normal(0, 1e-3, 1000))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"optimizer.warmup": 99}, None),
        ({"optimizer.warmup": 100}, "the learning rate never reaches 0.0002"),
        ({"loss.segmentation_start": 100}, "segmentation is never trained"),
        ({"adversarial.start": 100}, None),
        ({"adversarial.start": 100, "adversarial.weight": 0.1}, "the adversarial phase never begins"),
    ],
    ids=str,
)
def test_settings_that_never_act(changes, words):
    config = common.experiment("x")
    config.steps, config.optimizer.warmup = 100, 0
    config.update_from_flattened_dict(changes)
    found = doubts.at_start(config)
    assert len(found) == (words is not None)
    assert all(words in line for line in found)


@pytest.mark.quick
def test_one_class_everywhere_is_said_at_the_third_time():
    watch = doubts.Doubts()
    said = [watch.look(v) for v in (idle(), idle(), learned(), idle(), idle(), idle(), idle())]
    times = [i for i, lines in enumerate(said) if any("everywhere in 3 validations in a row" in x for x in lines)]
    assert times == [5]


@pytest.mark.quick
def test_a_temperature_at_its_limit_is_said():
    rng = np.random.default_rng(0)
    reversed_ = validated(
        rng.normal(2, 2, 5000), rng.normal(-2, 2, 5000)
    )  # surer is worse: no temperature is high enough
    assert any("calibration temperature is at its limit" in line for line in doubts.Doubts().look(reversed_))
    assert not doubts.Doubts().look(learned())


@pytest.mark.quick
def test_ground_of_one_class_gives_no_doubt():
    watch = doubts.Doubts()
    for _ in range(4):
        assert not watch.look(validated(np.zeros(100), np.zeros(0)))


@pytest.mark.quick
def test_the_share_called_impervious_is_that_of_the_map():
    found = learned()
    share = calibration.predicted_share(found.logits, EDGES, found.fitted)
    positives = found.logits[1].sum()
    scores = found.fitted.scores
    assert share == pytest.approx(scores["recall"] * positives / scores["precision"] / found.logits.sum())


def test_a_batch_that_does_not_fit_is_refused(config):
    config.model = toy.network("10", blocks=(0,))
    config.data.batch, config.mesh.data = 8, 1
    experiment = set_up(config)
    check_room(experiment)
    check_room(experiment, limit=2**40)
    with pytest.raises(InputError, match=r"data\.batch=8 needs .* only 8 MB are available: .*jointseg plan"):
        check_room(experiment, limit=8 * 10**6)
    with pytest.raises(InputError, match=r"network and its optimizer need .* only 1 kB are available"):
        check_room(experiment, limit=1000)
    config.data.batch = 10**6
    with pytest.raises(InputError, match=r"data\.batch=1000000 needs .* GB of memory"):
        check_room(set_up(config))
