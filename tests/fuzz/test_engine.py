"""The judge of the sweep sees what it is meant to see."""

import time
import warnings

import pytest
from fuzz import engine

from jointseg_jax.errors import InputError, StorageError

pytestmark = pytest.mark.quick


def raising(error):
    def call():
        raise error

    return call


def warned():
    warnings.warn("odd", RuntimeWarning, stacklevel=1)


def wrong(_):
    raise engine.Wrong("7 is not 8")


def judged(call, check=lambda _: None, must="either"):
    return engine.judge(engine.Attempt(call, check, ("a.tif",), must))


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (lambda: judged(lambda: 7), "right"),
        (lambda: judged(raising(InputError("a.tif is damaged: restore it"))), "refused"),
        (lambda: judged(raising(StorageError("a.tif cannot be written: make room"))), "refused"),
        (lambda: judged(raising(InputError("it is damaged: restore it"))), "names none"),
        (lambda: judged(raising(InputError("a.tif is damaged"))), "does not say what to do"),
        (lambda: judged(raising(InputError("a.tif is damaged (zlib: bad block)"))), "does not say what to do"),
        (lambda: judged(raising(InputError("a.tif is damaged: restore it")), must="accept"), "refused, which"),
        (lambda: judged(lambda: 7, must="refuse"), "accepted, which"),
        (lambda: judged(lambda: 7, wrong), "wrong: 7 is not 8"),
        (lambda: judged(raising(KeyError("x"))), "KeyError"),
        (lambda: judged(raising(SystemExit(1))), "SystemExit"),
        (lambda: judged(warned), "a warning: RuntimeWarning: odd"),
    ],
)
def test_verdicts(outcome, verdict):
    found = outcome()
    assert verdict in (found.verdict if found.verdict != "failed" else found.words)


def test_a_hang_is_ended_and_fails(monkeypatch):
    monkeypatch.setattr(engine, "LIMIT", 0.1)
    assert judged(lambda: time.sleep(30)).key.startswith("hang at")


def test_the_smallest_case_is_shown(tmp_path):
    def attempt(folder, steps):
        bad = any(step.mutation == "bad" for step in steps)
        return engine.Attempt(raising(KeyError("x")) if bad else lambda: 7, lambda _: None, (), "either")

    kind = engine.Kind("toy", 40, ("good", "fine", "bad"), attempt)
    tally = engine.sweep(kind, tmp_path)
    assert tally.cases == 40
    assert tally.failed > 3
    ((_, steps, _),) = tally.failures.values()
    assert [step.mutation for step in steps] == ["bad"]
    assert "1 ways" in engine.told(tally)
    assert list(engine.cases(kind)) == list(engine.cases(kind))
