"""Runs mutated inputs and judges what comes of each: a right result, a refusal in one sentence, or a failure.

A kind of input has named mutations. A case is one of them or several, each with a seed of its own, so that it can be
made again from what is printed. Of a case that fails, the smallest part that still fails is shown.
"""

import contextlib
import dataclasses
import gc
import logging
import pathlib
import random
import re
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import absl.logging
import rasterio.errors

from jointseg_jax.errors import InputError, RunEnded

LIMIT = 60.0  # seconds after which a call counts as hanging; most take hundredths, on a busy machine tenths
LONGEST = 900  # characters of a sentence
_SHOWN = 12  # distinct failures of a kind that are printed in full


class Step(NamedTuple):
    """One mutation and the seed of its random choices."""

    mutation: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A mutated input, ready to be used.

    Attributes:
        call: what is tried.
        check: takes what `call` returned; raises `Wrong` where it is not right.
        names: a refusal has to hold one of these, so that its reader knows what to mend.
        must: "accept", "refuse" or "either".
    """

    call: Callable[[], Any]
    check: Callable[[Any], None]
    names: tuple[str, ...]
    must: str = "either"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: of the kind.
        count: of cases.
        mutations: names; every one is tried alone first.
        attempt: takes an empty folder and the steps of a case.
        together: most mutations in one case.
    """

    name: str
    count: int
    mutations: tuple[str, ...]
    attempt: Callable[[pathlib.Path, Sequence[Step]], Attempt]
    together: int = 3


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        verdict: "right", "refused", "failed", or "impossible" where mutations exclude each other.
        words: the sentence, or the traceback.
        key: tells failures apart.
    """

    verdict: str
    words: str = ""
    key: str = ""


class Wrong(AssertionError):
    """A result that is not what it should be."""


class _TooLong(BaseException):
    """Not an `Exception`, so that nothing on the way takes it for damage."""


def cases(kind: Kind) -> Iterator[tuple[Step, ...]]:
    """The cases of a kind, the same at every run: no mutation, each alone, then one to `together` of them."""
    yield ()  # the input as it is
    for number in range(kind.count - 1):
        rng = random.Random(f"{kind.name}-{number}")
        if number < len(kind.mutations):
            chosen = [kind.mutations[number]]
        else:
            chosen = rng.sample(kind.mutations, min(rng.choice((1, 1, *range(1, kind.together + 1))), kind.together))
        yield tuple(Step(name, rng.randrange(1 << 30)) for name in chosen)


def run(kind: Kind, steps: Sequence[Step], folder: pathlib.Path) -> Outcome:
    """Makes a case in a folder that is emptied before, tries it, and judges."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries that are asked to write nonsense
            attempt = kind.attempt(folder, steps)
    except Exception:
        if len(steps) < 2:
            raise
        return Outcome("impossible")  # mutations that exclude each other
    if not steps:
        attempt = dataclasses.replace(attempt, must="accept")
    return judge(attempt, "+".join(s.mutation for s in steps))


def judge(attempt: Attempt, label: str = "") -> Outcome:
    """Tries and judges, see the module; `label` tells what was done to the input."""
    rang: list[bool] = []
    try:
        with _alarm(LIMIT, rang), _listening() as heard:
            result = attempt.call()
    except (InputError, RunEnded) as error:
        if rang:  # the alarm woke a call of the system, whose failure was explained then
            return Outcome("failed", f"still at it after {LIMIT:g} s\n{_trace(error)}", f"hang at {_place(error)}")
        return _refusal(error, attempt, label)
    except _TooLong as error:
        return Outcome("failed", f"still at it after {LIMIT:g} s\n{_trace(error)}", f"hang at {_place(error)}")
    except (Exception, SystemExit) as error:
        return Outcome("failed", _trace(error), f"{type(error).__name__} at {_place(error)}")
    if heard:
        first = heard[0]
        text = f"{first.category.__name__}: {first.message} ({first.filename}:{first.lineno})"
        return Outcome("failed", f"a warning: {text}", f"{first.category.__name__} {str(first.message)[:60]}")
    if attempt.must == "refuse":
        return Outcome("failed", f"accepted, which it must not be: {str(result)[:200]}", f"accepted: {label}")
    try:
        attempt.check(result)
    except Wrong as error:
        return Outcome("failed", f"wrong: {error}", f"wrong: {re.sub(r'[0-9.]+', '#', str(error))[:70]}")
    except Exception as error:  # a result that cannot even be compared
        return Outcome("failed", _trace(error), f"check {type(error).__name__} at {_place(error)}")
    return Outcome("right")


def _refusal(error: Exception, attempt: Attempt, label: str) -> Outcome:
    sentence = str(error)
    amiss = ""
    if attempt.must == "accept":
        amiss = "refused, which it must not be"
    elif len(sentence.splitlines()) != 1:
        amiss = f"not one line but {len(sentence.splitlines())}"
    elif len(sentence) > LONGEST:
        amiss = f"{len(sentence)} characters"
    elif not any(name in sentence for name in attempt.names):
        amiss = f"names none of {attempt.names}"
    elif not advises(sentence):
        amiss = "does not say what to do"
    if amiss:
        where = label if amiss.startswith("refused") else _place(error)
        return Outcome(
            "failed", f"{amiss}: {type(error).__name__}: {sentence}", f"{amiss.split(':')[0][:40]} at {where}"
        )
    return Outcome("refused", sentence)


def advises(sentence: str) -> bool:
    """Whether something follows what is wrong: after a colon or semicolon that stands outside brackets and paths."""
    if "--help lists the" in sentence:
        return True
    if sentence.count("'") % 2:  # a value that is a quote itself
        sentence = sentence.replace("'", "")
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|\([^()]*\)", "_", sentence)
    plain = re.sub(r"\S*/\S*?(?=[:;,]?(\s|$))", "_", plain)
    return re.search(r"[:;] -*[a-z_]|, or | has to | must |[Pp]ass --", plain) is not None


def shrink(
    kind: Kind, steps: Sequence[Step], folder: pathlib.Path, outcome: Outcome
) -> tuple[tuple[Step, ...], Outcome]:
    """The fewest steps of a case that still fail in the same way."""
    steps, changed = tuple(steps), True
    while changed and len(steps) > 1:
        changed = False
        for number in range(len(steps)):
            fewer = steps[:number] + steps[number + 1 :]
            found = run(kind, fewer, folder.with_name(f"{folder.name}-{len(fewer)}-{number}"))
            if found.verdict == "failed" and found.key.split(":")[0] == outcome.key.split(":")[0]:
                steps, outcome, changed = fewer, found, True
                break
    return steps, outcome


@dataclasses.dataclass
class Tally:
    """What came of the cases of a kind."""

    kind: str
    right: int = 0
    refused: int = 0
    failed: int = 0
    impossible: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    failures: dict[str, tuple[int, tuple[Step, ...], Outcome]] = dataclasses.field(default_factory=dict)

    @property
    def cases(self) -> int:
        """All of them."""
        return self.right + self.refused + self.failed

    def row(self) -> str:
        """One line of the table."""
        numbers = f"{self.cases:>7}{self.right:>7}{self.refused:>9}{self.failed:>8}{self.seconds:>9.1f}{self.cpu:>8.1f}"
        return f"{self.kind:<14}{numbers}"


HEADER = f"{'kind':<14}{'cases':>7}{'right':>7}{'refused':>9}{'failed':>8}{'seconds':>9}{'cpu':>8}"


def sweep(kind: Kind, folder: pathlib.Path) -> Tally:
    """Runs all cases of a kind, each in a folder of its own: what is known of a path may be kept."""
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # its reports of damage come as exceptions, too
    absl.logging.set_verbosity(absl.logging.FATAL)
    tally = Tally(kind.name)
    begin, cpu = time.perf_counter(), time.process_time()
    for number, steps in enumerate(cases(kind)):
        place = folder / str(number)
        outcome = run(kind, steps, place)
        setattr(tally, outcome.verdict, getattr(tally, outcome.verdict) + 1)
        if outcome.verdict == "failed":
            count, first, what = tally.failures.get(outcome.key, (0, steps, outcome))
            if not count:
                first, what = shrink(kind, steps, place, outcome)
            tally.failures[outcome.key] = (count + 1, first, what)
        shutil.rmtree(place, ignore_errors=True)
    gc.collect()
    tally.seconds, tally.cpu = time.perf_counter() - begin, time.process_time() - cpu
    return tally


def told(tally: Tally) -> str:
    """The distinct failures of a kind, each with its smallest case."""
    lines = [f"{tally.failed} of {tally.cases} cases of {tally.kind} failed, in {len(tally.failures)} ways:"]
    for key, (count, steps, outcome) in list(tally.failures.items())[:_SHOWN]:
        lines.append(f"\n--- {count} x {key}\n    case: {[tuple(s) for s in steps]}\n    {outcome.words}")
    return "\n".join(lines)


@contextlib.contextmanager
def _alarm(seconds: float, rang: list[bool]) -> Iterator[None]:
    """Raises `_TooLong` in the main thread; the mark of the test sees to it that pytest-timeout uses no such alarm."""

    def ring(*_: Any) -> None:
        rang.append(True)
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again: who is called back from C swallows one
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _listening() -> Iterator[list[warnings.WarningMessage]]:
    """Notes all warnings but those that the house ignores, see pyproject.toml."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        warnings.filterwarnings("ignore", r"the load_module\(\) method", DeprecationWarning)
        warnings.simplefilter("ignore", rasterio.errors.NodataShadowWarning)
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield heard


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-6)).strip()


def _place(error: BaseException) -> str:
    """The last line of ours on the way."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "jointseg_jax" in f.filename or "/configs/" in f.filename] or list(frames)
    return f"{pathlib.PurePath(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
