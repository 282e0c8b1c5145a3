"""Prepares a dataset: python prepare.py --config=configs/demo.py."""

from absl import flags

from jointseg_jax import door

_CONFIG = door.define_config()
flags.mark_flag_as_required("config")


def main() -> None:
    """Runs the preparation."""
    from jointseg_jax.data.prepare import prepare

    prepare(_CONFIG.value.dataset)


if __name__ == "__main__":
    door.run(main)
