"""Trains: python train.py --config=configs/demo.py --workdir=runs/demo; run it again to go on."""

import pathlib

from absl import flags

from jointseg_jax import door

_CONFIG = door.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, logs, evaluation.")
flags.mark_flags_as_required(["config", "workdir"])


def main() -> None:
    """Runs the training."""
    from jointseg_jax.training import loop, parallel

    parallel.use_compilation_cache()
    loop.train(_CONFIG.value, pathlib.Path(str(_WORKDIR.value)))


if __name__ == "__main__":
    door.run(main)
