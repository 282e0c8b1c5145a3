"""A program for the tests: runs `FileWork`, with the exit statuses of all programs."""

import pathlib

from jobs.file_work import FileWork, names, run

from jointseg_jax import cli
from jointseg_jax.bounds.number import real, whole
from jointseg_jax.flag_set import FlagSet
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.executors import Serial, parse_shard

FLAGS = FlagSet("file-work", __doc__)
PRODUCT = FLAGS.text("product", None, "")
UNITS = FLAGS.number("units", 6, "", whole(1))
SECONDS = FLAGS.number("seconds", 0.0, "", real(0))
GRACE = FLAGS.number("grace", 20.0, "", real(0))
WORKERS = FLAGS.number("workers", 0, "", whole(0))
ATTEMPTS = FLAGS.number("attempts", 3, "", whole(1))
SCHEDULER = FLAGS.text("scheduler", "", "")
SHARD = FLAGS.text("shard", "0/1", "")


def main():
    product, dask = pathlib.Path(PRODUCT.value), WORKERS.value or SCHEDULER.value
    run(
        product,
        Dask(WORKERS.value, scheduler=SCHEDULER.value) if dask else Serial(parse_shard(SHARD.value)),
        names(UNITS.value),
        work=FileWork(product, SECONDS.value),
        on_event=lambda event: print(event.kind, event.unit, event.error, flush=True),
        attempts=ATTEMPTS.value,
        grace=GRACE.value,
    ).raise_unfinished()


if __name__ == "__main__":
    cli.end(cli.run(FLAGS, main))
