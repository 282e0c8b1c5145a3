"""Prepares a dataset and reports on it: jointseg prepare --config=demo.

The report lies in the dataset's folder (report.html, report.json). The status is 2 if the dataset is not fit for use.
"""

from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.flag_set import FlagSet

FLAGS = FlagSet("prepare", __doc__)
_CONFIG = FLAGS.config()
_WORKERS = FLAGS.number(
    "workers", 0, "Processes that prepare sites in parallel; 0: one per core and 20 km2, 4 at most; 1: only this one.",
    bounds.WORKERS,
)  # fmt: skip
_COREGISTER = FLAGS.switch(
    "coregister", False, "Move images onto the input, labels onto the image, later dates onto the first one, by whole "
    "metres; as --config.dataset.coregister=True.",
)  # fmt: skip
_REPORT = FLAGS.switch("report", False, "Only report on the dataset that was prepared before.")
FLAGS.require("config")


def work() -> None:
    """Runs the preparation, and reports."""
    from jointseg_jax.data.dataset import load
    from jointseg_jax.data.prepare.preparation import prepare
    from jointseg_jax.data.prepare.report.page import PAGE, write_report

    dataset = _CONFIG.value.dataset
    if _REPORT.value:
        data = load(dataset.path)
    else:
        if _COREGISTER.value:
            with dataset.unlocked():
                dataset.coregister = True
        if dataset.source.kind == "landscape":
            from jointseg_jax.landscape.files import make_landscape  # real data do not need it

            make_landscape(dataset)
        data = prepare(dataset, workers=_WORKERS.value)
    problems = write_report(data)
    if problems:
        raise InputError(
            f"the dataset {data.root} is not fit for use ({len(problems)} findings, the first: {problems[0]}): see "
            f"{data.root / PAGE}, correct its inputs or its splits, and prepare it again"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(FLAGS, work, arguments)
