"""Prepares a dataset: python prepare.py --config=configs/demo.py."""

import warnings

from absl import flags

from jointseg_jax import door

warnings.filterwarnings("ignore", message=r"the load_module\(\) method is deprecated", category=DeprecationWarning)

_CONFIG = door.define_config()
flags.mark_flag_as_required("config")


def main() -> None:
    """Runs the preparation."""
    from jointseg_jax.data.prepare import prepare

    prepare(_CONFIG.value.dataset)


if __name__ == "__main__":
    door.run(main)
