"""Our side of the benchmark: the compiled training step as a contestant, and its memory."""

import time
from typing import Any

import jax

from benchmarks.subject import Subject
from benchmarks.timing import Failed, Turn, timed


class Ours:
    """A contestant: our compiled training step on one batch that lies on the device.

    The program is compiled once, ahead of time; a turn cannot compile anything.
    """

    name = "jax"
    share = 1.0

    def __init__(self, subject: Subject, batch: Any):
        self.state = subject.state()
        self.batch = subject.to_device(batch)
        began = time.perf_counter()
        lowered = subject.step.lower(self.state, self.batch)
        traced = time.perf_counter()
        self.program = lowered.compile()
        self.seconds = {"trace": traced - began, "compile": time.perf_counter() - traced}
        self.loss = float(self._step()["loss"])
        self.steps = 1
        # Read before anything else uses the device, because the peak never falls.
        self.device_peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")

    def _step(self) -> Any:
        self.state, metrics = self.program(self.state, self.batch)
        return metrics

    def turn(self, steps: int) -> Turn:
        """Sends all steps, then waits for state and metrics of the last, which depends on all before."""

        def work() -> None:
            for _ in range(steps):
                metrics = self._step()
            jax.block_until_ready((self.state, metrics))

        turn = timed(steps, work)
        self.steps += steps
        if int(self.state.step) != self.steps or int(self.state.skipped):
            raise Failed(
                f"the state counts {int(self.state.step)} steps instead of {self.steps}, of which "
                f"{int(self.state.skipped)} were skipped"
            )
        return turn


def memory(ours: Ours) -> dict[str, Any]:
    """The memory that the compiled program needs, and the device's peak in use by the end of the first step."""
    return compiled_memory(ours.program) | {"device_peak": ours.device_peak}


def compiled_memory(program: Any) -> dict[str, int]:
    """Bytes that a compiled program needs, by its own analysis."""
    analysis = program.memory_analysis()
    parts = {
        name: int(getattr(analysis, f"{name}_size_in_bytes"))
        for name in ("argument", "output", "alias", "temp", "generated_code")
    }
    return parts | {"total": parts["argument"] + parts["output"] + parts["temp"] - parts["alias"]}
