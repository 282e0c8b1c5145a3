"""Prepares a dataset: python prepare.py --config=configs/demo.py."""

from absl import flags

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds

_CONFIG = cli.define_config()
_WORKERS = cli.define_number(
    "workers", 0, "Processes that prepare sites in parallel; 0: one per core and 20 km2, 4 at most; 1: only this one.",
    bounds.WORKERS,
)  # fmt: skip
_COREGISTER = flags.DEFINE_bool(
    "coregister", False, "Move images onto the input and labels onto the image, by whole metres; as "
    "--config.dataset.coregister=True.",
)  # fmt: skip
flags.mark_flag_as_required("config")


def main() -> None:
    """Runs the preparation."""
    from jointseg_jax.data.prepare.preparation import prepare

    dataset = _CONFIG.value.dataset
    if _COREGISTER.value:
        with dataset.unlocked():
            dataset.coregister = True
    if dataset.source.kind == "landscape":
        from jointseg_jax.landscape.files import make_landscape  # real data do not need it

        make_landscape(dataset)
    prepare(dataset, workers=_WORKERS.value)


if __name__ == "__main__":
    cli.run(main)
