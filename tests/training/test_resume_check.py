"""What a run may change when it goes on."""

import copy
import pathlib

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.training.resume_check import check

pytestmark = pytest.mark.quick
RUN = {"steps": 100, "seed": 0, "keep": 2, "optimizer": {"schedule": "cosine", "learning_rate": 1e-3}}


def other(**changes):
    config = copy.deepcopy(RUN)
    for key, value in changes.items():
        group, _, field = key.rpartition("__")
        (config[group] if group else config)[field] = value
    return config


def test_the_same_and_what_may_change():
    check(RUN, RUN, 100, pathlib.Path("run"))
    check(RUN, other(keep=5), 50, pathlib.Path("run"))
    constant = other(optimizer__schedule="constant")
    check(constant, {**constant, "steps": 300}, 100, pathlib.Path("run"))
    check(constant, {**constant, "steps": 70}, 50, pathlib.Path("run"))


@pytest.mark.parametrize(
    ("now", "reached", "message"),
    [
        (other(steps=300), 100, "schedule 'cosine': train further .*--workdir=OTHER --init-from=run"),
        (other(steps=50), 100, "has already done 100 steps, but this config has steps=50"),
        (other(seed=1, steps=300), 100, "was trained with seed=0, but this config has 1: .*--init-from=run"),
        (
            other(steps=300, optimizer__schedule="constant"),
            100,
            "optimizer.schedule=cosine, but this config has constant",
        ),
    ],
)
def test_another_experiment_is_refused_with_the_way_out(now, reached, message):
    with pytest.raises(InputError, match=message):
        check(RUN, now, reached, pathlib.Path("run"))
