"""The progress bar of a run of units."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import tqdm

from jointseg_jax.jobs.units import Event

_SECONDS = {"s": 1.0, "h": 3600.0}


@contextlib.contextmanager
def progress_bar(
    noun: str, km2: Mapping[str, float], per: str, *, logged: bool = True
) -> Iterator[Callable[[Event], None]]:
    """Shows a run on stderr: finished units, ground per time, failures. Yields the `on_event` of `run_units`.

    Args:
        noun: what a unit is: "tile".
        km2: ground of every unit.
        per: unit of time of the rate, "s" or "h".
        logged: show the bar every 15 s if stderr is not a terminal; otherwise hide it there.
    """
    begin, ground, terminal = time.perf_counter(), 0.0, sys.stderr.isatty()
    with tqdm.tqdm(
        total=len(km2), unit=noun, mininterval=0.5 if terminal else 15, disable=not (terminal or logged)
    ) as bar:

        def tell(event: Event) -> None:
            nonlocal ground
            bar.total = event.total
            bar.update(event.settled - bar.n)
            if event.kind == "done":
                ground += km2[event.unit]
                rate = ground / ((time.perf_counter() - begin) or 1e-9) * _SECONDS[per]
                bar.set_postfix_str(f"{rate:.3g} km2/{per}")
            elif event.kind in ("failed", "quarantined"):
                next_step = "will be tried again" if event.kind == "failed" else "is set aside"
                bar.write(f"{noun} {event.unit} failed and {next_step}: {event.error}", file=sys.stderr)

        yield tell
