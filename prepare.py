"""Prepares a dataset: python prepare.py --config=configs/demo.py."""

from absl import flags

from jointseg_jax import cli

_CONFIG = cli.define_config()
flags.mark_flag_as_required("config")


def main() -> None:
    """Runs the preparation."""
    from jointseg_jax.data.prepare.preparation import prepare

    dataset = _CONFIG.value.dataset
    if dataset.source.kind == "landscape":
        from jointseg_jax.landscape.files import make_landscape  # real data do not need it

        make_landscape(dataset)
    prepare(dataset)


if __name__ == "__main__":
    cli.run(main)
