"""Trains: python train.py --config=configs/demo.py --workdir=runs/demo; the same command resumes.

With --plan it only prints the cost of a step. In a run of several processes each finds the others by flags, Slurm, a
TPU pod or the environment: see docs/scaling.md.
"""

import os
import pathlib

from absl import flags

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError

_CONFIG = cli.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, logs, evaluation.")
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "Initial weights, used where names and shapes match: WORKDIR[:STEP] of another run, or an RRDBNet x4 file (.pth).",
)
_PLAN = flags.DEFINE_boolean(
    "plan", False, "Print the cost of a training step and the largest batch that fits, and stop."
)
_PROFILE = flags.DEFINE_string("profile", None, "START:STOP: profile these steps, into WORKDIR/profile.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for a run of several processes.")
_PROCESSES = cli.define_number("processes", None, "Number of processes in the run.", bounds.PROCESSES)
_PROCESS = cli.define_number("process", None, "Index of this process, from 0.", bounds.PROCESS)
_CLUSTER = flags.DEFINE_string(
    "cluster", "auto", "How to find the other processes: auto, none (there are no others), environment, slurm or tpu."
)
_CONNECT = cli.define_number(
    "connect_timeout", 300, "Seconds to wait at the start until all processes are connected.", bounds.TIMEOUT
)
_HEARTBEAT = cli.define_number(
    "heartbeat_timeout", 100, "Seconds after which a silent process counts as dead.", bounds.TIMEOUT
)
flags.DEFINE_alias("init-from", "init_from")
flags.mark_flag_as_required("config")


def main() -> None:
    """Runs the training."""
    from jointseg_jax.training.devices import multiprocess, processes
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
    from jointseg_jax.training.planning import step_cost
    from jointseg_jax.training.run import profiling
    from jointseg_jax.training.train import train

    if _INIT_FROM.value:
        _CONFIG.value.init_from = str(_INIT_FROM.value)
    if _PLAN.value:
        use_compilation_cache()
        step_cost.plan(_CONFIG.value)
        return
    if _WORKDIR.value is None:
        raise InputError("--workdir is missing: give the folder of the run, such as --workdir=runs/demo")
    wanted = profiling.parse(_PROFILE.value)
    said = processes.Flags(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _CLUSTER.value)
    decided = processes.decide(said, os.environ)
    workdir = pathlib.Path(str(_WORKDIR.value))
    with multiprocess.connected(decided, connect=_CONNECT.value, heartbeat=_HEARTBEAT.value):
        use_compilation_cache(workdir)
        train(_CONFIG.value, workdir, wanted)


if __name__ == "__main__":
    cli.run(main)
