"""A program for the tests: runs `FileWork`, with the exit statuses of all programs."""

import pathlib

from absl import flags
from jobs.file_work import FileWork, names, run

from jointseg_jax import cli
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.executors import Serial, parse_shard

PRODUCT = flags.DEFINE_string("product", None, "")
UNITS = flags.DEFINE_integer("units", 6, "")
SECONDS = flags.DEFINE_float("seconds", 0.0, "")
GRACE = flags.DEFINE_float("grace", 20.0, "")
WORKERS = flags.DEFINE_integer("workers", 0, "")
SCHEDULER = flags.DEFINE_string("scheduler", "", "")
SHARD = flags.DEFINE_string("shard", "0/1", "")


def main():
    product, dask = pathlib.Path(PRODUCT.value), WORKERS.value or SCHEDULER.value
    run(
        product,
        Dask(WORKERS.value, scheduler=SCHEDULER.value) if dask else Serial(parse_shard(SHARD.value)),
        names(UNITS.value),
        work=FileWork(product, SECONDS.value),
        on_event=lambda event: print(event.kind, event.unit, event.error, flush=True),
        grace=GRACE.value,
    ).raise_unfinished()


if __name__ == "__main__":
    cli.run(main)
