"""Trains: python train.py --config=configs/demo.py --workdir=runs/demo; run it again to go on."""

import pathlib

from absl import flags

from jointseg_jax import door

_CONFIG = door.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, logs, evaluation.")
_PROFILE = flags.DEFINE_string("profile", None, "start:stop: trace these steps into WORKDIR/profile.")
flags.mark_flags_as_required(["config", "workdir"])


def main() -> None:
    """Runs the training."""
    from jointseg_jax.training import loop, parallel, profiling

    wanted = profiling.parse(_PROFILE.value)
    parallel.use_compilation_cache()
    loop.train(_CONFIG.value, pathlib.Path(str(_WORKDIR.value)), wanted)


if __name__ == "__main__":
    door.run(main)
