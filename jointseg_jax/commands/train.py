"""Trains: jointseg train --config=demo --workdir=runs/demo; the same command resumes.

With --plan it only prints the cost of a step. In a run of several processes each finds the others by flags, Slurm, a
TPU pod or the environment: see docs/scaling.md.
"""

import os
import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.flag_set import FlagSet

FLAGS = FlagSet("train", __doc__)
_CONFIG = FLAGS.config()
_WORKDIR = FLAGS.text("workdir", None, "Folder of the run: checkpoints, logs, evaluation.")
_INIT_FROM = FLAGS.text(
    "init_from",
    None,
    "Initial weights, used where names and shapes match: WORKDIR[:STEP] of another run, or an RRDBNet x4 file (.pth).",
)
_PLAN = FLAGS.switch("plan", False, "Print the cost of a training step and the largest batch that fits, and stop.")
_PLAN_EXACT = FLAGS.switch(
    "plan_exact", False, "With --plan: compile further batches to find the largest; otherwise it is estimated from one."
)
_PROFILE = FLAGS.text("profile", None, "START:STOP: profile these steps, into WORKDIR/profile.")
_COORDINATOR = FLAGS.text("coordinator", None, "HOST:PORT of process 0, for a run of several processes.")
_PROCESSES = FLAGS.number("processes", None, "Number of processes in the run.", bounds.PROCESSES)
_PROCESS = FLAGS.number("process", None, "Index of this process, from 0.", bounds.PROCESS)
_CLUSTER = FLAGS.text(
    "cluster", "auto", "How to find the other processes: auto, none (there are no others), environment, slurm or tpu."
)
_CONNECT = FLAGS.number(
    "connect_timeout", 300, "Seconds to wait at the start until all processes are connected.", bounds.TIMEOUT
)
_HEARTBEAT = FLAGS.number(
    "heartbeat_timeout", 100, "Seconds after which a silent process counts as dead.", bounds.TIMEOUT
)
FLAGS.require("config")


def work() -> None:
    """Runs the training. What is wrong with the flags is found before JAX is loaded."""
    if _PLAN_EXACT.value and not _PLAN.value:
        raise InputError("--plan_exact says how --plan finds the largest batch: add --plan")
    if _WORKDIR.value is None and not _PLAN.value:
        raise InputError("--workdir is missing: give the folder of the run, such as --workdir=runs/demo")
    from jointseg_jax.training.devices import multiprocess, processes
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
    from jointseg_jax.training.planning import step_cost
    from jointseg_jax.training.run import profiling
    from jointseg_jax.training.train import train

    if _INIT_FROM.value:
        _CONFIG.value.init_from = str(_INIT_FROM.value)
    if _PLAN.value:
        use_compilation_cache()
        step_cost.plan(_CONFIG.value, exact=_PLAN_EXACT.value)
        return
    wanted = profiling.parse(_PROFILE.value)
    said = processes.Flags(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _CLUSTER.value)
    decided = processes.decide(said, os.environ)
    workdir = pathlib.Path(str(_WORKDIR.value))
    with multiprocess.connected(decided, connect=_CONNECT.value, heartbeat=_HEARTBEAT.value):
        use_compilation_cache(workdir)
        train(_CONFIG.value, workdir, wanted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(FLAGS, work, arguments)
