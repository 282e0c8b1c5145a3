"""Decodes maps of several years as one sequence per pixel: what was built when, and how sure that is.

jointseg monitor --maps=2017:DIR,2019:DIR,2021:DIR,2023:DIR --output=DIR
jointseg monitor --workdir=runs/demo --input=SCENES --aoi=belt.geojson --years=2017,2019,2021,2023 --output=DIR
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.commands import predict
from jointseg_jax.errors import InputError
from jointseg_jax.flag_set import FlagSet

if TYPE_CHECKING:
    from jointseg_jax.jobs.executors import Executor

FLAGS = FlagSet("monitor", __doc__)
_OUTPUT = FLAGS.text("output", None, "Folder for the monitor.")
_MAPS = FLAGS.texts(
    "maps", [], "Maps to decode, DATE:DIR of each: a year, a month or a day, and the --output of `jointseg predict`."
)
_YEARS = FLAGS.texts("years", [], "Map the scenes of --input in these years first, each into OUTPUT/maps/YEAR.")
_WORKDIR = FLAGS.text("workdir", None, "With --years: folder of the training run.")
_INPUT = FLAGS.text("input", None, "With --years: the scenes of all years, as `jointseg predict` takes them.")
_PERIOD_OF_YEAR = FLAGS.text(
    "period_of_year", None, "With --years: use only scenes between these days, such as 05-01/09-30."
)
_PRIOR = FLAGS.text(
    "prior",
    "map",
    "Share of impervious ground that the probabilities assume, by which they are divided: `map` for the mean of the "
    "maps on each class of ground, or a number between 0 and 1.",
)
_SHARPNESS = FLAGS.number(
    "sharpness",
    None,
    "Factor of the log-odds of the probabilities; by default that under which a sample of them is most probable.",
    bounds.SHARPNESS,
)
_GAIN = FLAGS.number(
    "gain", None, "Share of pervious ground built on per year; by default estimated.", bounds.YEARLY_SHARE
)
_LOSS = FLAGS.number(
    "loss", None, "Share of impervious ground cleared per year; by default estimated.", bounds.YEARLY_SHARE
)
_IRREVERSIBLE = FLAGS.switch("irreversible", False, "What is built stays: no state goes back to pervious.")
_REGISTER = FLAGS.switch("register", True, "Move each date by the shift of its input, measured per tile.")
_DOUBT = FLAGS.switch("doubt", True, "Let a date count less in a tile where it contradicts the others.")
_REGIONS = FLAGS.text("regions", None, "Vector file of regions that have transitions and figures of their own.")
_REGION_NAME = FLAGS.text("region_name", None, "Column that names the regions; by default the file is one region.")
_MIXED = FLAGS.switch("mixed", False, "Decode maps of other networks or settings together, and record how they differ.")
_SKIP_MISSING = FLAGS.switch(
    "skip_missing", False, "Decode tiles that a date's product has planned but not mapped without that date."
)
_RUNNING = ("executor", "workers", "scheduler", "slurm", "shard", "check")
_MAPPING = (
    "aoi",
    "checkpoint",
    "weights",
    "radiometry",
    "bands",
    "cloud",
    "clear",
    "cloud_buffer",
    "dates",
    "tile",
    "batch",
    "augment",
    "confidence",
    "uncertainty",
    "dtype",
    "support",
    "grid",
    "skip_refused",
)
FLAGS.share(predict.FLAGS, *_RUNNING, *_MAPPING)
FLAGS.require("output")


def work() -> None:
    """Maps if asked to, then decodes. What is wrong with the flags is found before JAX is loaded."""
    predict.FLAGS.values.mark_as_parsed()  # its flags were parsed as ours
    _check_flags()
    prior = _prior()
    from jointseg_jax.change.maps import parse_maps
    from jointseg_jax.change.monitor_record import Settings
    from jointseg_jax.change.run_monitor import run_monitor
    from jointseg_jax.geo.area_of_interest import read_regions

    settings = Settings(
        0,
        prior,
        _SHARPNESS.value,
        _GAIN.value,
        _LOSS.value,
        _IRREVERSIBLE.value,
        _REGISTER.value,
        _DOUBT.value,
    )
    regions = None if _REGIONS.value is None else read_regions(_REGIONS.value, _REGION_NAME.value)
    output, executor = pathlib.Path(str(_OUTPUT.value)), predict.chosen_executor()
    folders = parse_maps(_MAPS.value) if _MAPS.value else _map_years(output, executor)
    run_monitor(
        folders,
        output,
        settings,
        executor,
        regions=regions,
        mixed=_MIXED.value,
        skip_missing=_SKIP_MISSING.value,
        deep=FLAGS.values.check,
        beside=bool(_YEARS.value),
    )


def _map_years(output: pathlib.Path, executor: "Executor") -> dict[str, pathlib.Path]:
    from jointseg_jax.change.map_years import map_years
    from jointseg_jax.geo.area_of_interest import read_area
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
    from jointseg_jax.training.trained import load_trained

    predict.check_lists()
    use_compilation_cache()
    values = FLAGS.values
    trained = load_trained(str(_WORKDIR.value), checkpoint=values.checkpoint, weights=values.weights)
    return map_years(
        trained,
        str(_INPUT.value),
        None if values.aoi is None else read_area(values.aoi),
        output,
        predict.area_settings(trained),
        executor,
        years=_YEARS.value,
        period_of_year=_PERIOD_OF_YEAR.value,
        skip_refused=values.skip_refused,
        deep=values.check,
    )


def _check_flags() -> None:
    """Raises `InputError` for flags of the other way to run."""
    if bool(_MAPS.value) == bool(_YEARS.value):
        raise InputError("give either --maps=DATE:DIR,DATE:DIR to decode maps, or --years=2017,2019 to map first")
    if _MAPS.value:
        given = [name for name in ("workdir", "input", "period_of_year", *_MAPPING) if FLAGS.values[name].present]
        if given:
            raise InputError(f"--{given[0]} applies only to mapping with --years: remove it, or give --years")
    elif missing := [name for name in ("workdir", "input") if FLAGS.values[name].value is None]:
        raise InputError(f"--{missing[0]} is missing: --years maps scenes, as `jointseg predict` does")
    if _REGION_NAME.value and not _REGIONS.value:
        raise InputError("--region_name names a column of --regions: add --regions=FILE")
    if _IRREVERSIBLE.value and _LOSS.value:
        raise InputError("--irreversible has no loss: remove --loss, or --irreversible")


def _prior() -> float | None:
    text = str(_PRIOR.value)
    if text == "map":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise InputError(f"--prior={text[:60]} must be a number between 0 and 1, or map")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(FLAGS, work, arguments)
