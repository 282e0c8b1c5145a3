"""A door for the tests: does pieces of work in a process of its own, with the exit statuses of all doors."""

import pathlib

from absl import flags
from jobs.pieces import Net, Piece

from jointseg_jax import cli
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.executors import Serial, parse_shard
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.units import run_units

PRODUCT = flags.DEFINE_string("product", None, "")
UNITS = flags.DEFINE_integer("units", 6, "")
SECONDS = flags.DEFINE_float("seconds", 0.0, "")
SIZE = flags.DEFINE_integer("size", 20_000, "")
GRACE = flags.DEFINE_float("grace", 20.0, "")
WORKERS = flags.DEFINE_integer("workers", 0, "")
SCHEDULER = flags.DEFINE_string("scheduler", "", "")
SHARD = flags.DEFINE_string("shard", "0/1", "")
NET = flags.DEFINE_boolean("net", False, "")


def main():
    product = pathlib.Path(PRODUCT.value)
    if WORKERS.value or SCHEDULER.value:
        executor = Dask(WORKERS.value, scheduler=SCHEDULER.value)
    else:
        executor = Serial(parse_shard(SHARD.value))
    outcome = run_units(
        [f"u{number:03d}" for number in range(UNITS.value)],
        Net(product) if NET.value else Piece(product, SECONDS.value, SIZE.value),
        Ledger(product / "ledger"),
        executor,
        on_event=lambda event: print(event.kind, event.unit, event.error, flush=True),
        grace=GRACE.value,
    )
    outcome.raise_unfinished()


if __name__ == "__main__":
    cli.run(main)
