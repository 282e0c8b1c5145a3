"""Maps a scene, or every tile of an area of interest.

jointseg predict --workdir=runs/demo --input=SCENE_OR_SITE --output=DIR
jointseg predict --workdir=runs/demo --input=SCENES --aoi=belt.geojson --output=PRODUCT
"""

import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.flag_set import FlagSet

if TYPE_CHECKING:
    from jointseg_jax.jobs.executors import Executor
    from jointseg_jax.mapping.area.product_plan import Settings
    from jointseg_jax.rasters.contract import Contract
    from jointseg_jax.sources.wanted import Period

FLAGS = FlagSet("predict", __doc__)
_WORKDIR = FLAGS.text(
    "workdir",
    None,
    "Folder of the training run or of an exported network, or the name of a shipped one, such as dubai.",
)
_INPUT = FLAGS.text(
    "input", None, "One scene: a raster, or a folder with one raster per modality (such as a site of a dataset). Or "
    "several scenes: a folder of scenes, a STAC collection, item collection or item, or a prepared dataset. A raster "
    "or STAC may have an address, such as https://HOST/v1/collections/sentinel-2-l2a.",
)  # fmt: skip
_OUTPUT = FLAGS.text("output", None, "Folder for the map.")
_CHECKPOINT = FLAGS.text("checkpoint", "best", "Checkpoint: best (by validation F1), latest, or a step.")
_WEIGHTS = FLAGS.text("weights", "ema", "Weights: ema (moving average) or raw.")
_RADIOMETRY = FLAGS.text(
    "radiometry",
    "contract",
    "contract (refuse a scene in other units than the training data), display (read 8-bit numbers as a display "
    "stretch), harmonise (shift and scale each band to the training mean and deviation) or any-composite (as contract, "
    "but a single date may serve a network trained on composites, and the other way).",
)
_KEEP_GRID = FLAGS.switch(
    "keep_grid", False, "Map on the scene's own grid with ten times smaller pixels, whatever its CRS and pixel size."
)
_BANDS = FLAGS.texts(
    "bands", [], "Numbers (from 1) of the network's bands in the file, if the file does not name its bands."
)
_CLOUD = FLAGS.text(
    "cloud",
    "auto",
    "Mask of cloud, which becomes nodata: auto (the scene classification of the product, where there is one), none, or "
    "a file, one per date; FILE#BAND or #BAND for a band.",
)
_CLEAR = FLAGS.texts("clear", ["4", "5", "6", "7"], "Codes of the mask that are clear.")
_CLOUD_BUFFER = FLAGS.number(
    "cloud_buffer", 0, "Metres around cloud and shadow that are masked too.", bounds.CLOUD_BUFFER
)
_DATES = FLAGS.number(
    "dates", None, "Use only so many dates of each scene, the first ones; by default all.", bounds.DATES
)
_TILE = FLAGS.number(
    "tile",
    64,
    "Side of a window in input pixels, without its halo; changes speed and memory, not the map.",
    bounds.TILE,
)
_BATCH = FLAGS.number(
    "batch", None, "Windows computed at once; by default one per accelerator, one on CPUs.", bounds.BATCH
)
_AUGMENT = FLAGS.switch(
    "augment", False, "Average the map over eight flips and quarter turns, at eight times the cost."
)
_CONFIDENCE = FLAGS.switch(
    "confidence",
    False,
    "Write the agreement of the maps of --augment; run `jointseg evaluate --augment` first, to measure its value.",
)
_UNCERTAINTY = FLAGS.switch(
    "uncertainty",
    False,
    "Write sets of classes, fractions with intervals, and the dissimilarity from the training ground; run "
    "`jointseg evaluate --uncertainty` first, to calibrate and measure them.",
)
_DTYPE = FLAGS.choice(
    "dtype", None, ["float32", "bfloat16"], "Precision of the computation; by default that of the training."
)
_SUPPORT = FLAGS.switch(
    "support", False, "Write how much of the detail of the super-resolved image is measured, and not prior."
)
_IMAGE = FLAGS.switch("image", None, "Write the super-resolved image; by default for one scene, not for an area.")

_AOI = FLAGS.text("aoi", None, "Vector file with the area of interest; by default everything that the scenes cover.")
_PERIOD = FLAGS.text(
    "period", None, "Use only scenes of these days: a date or an interval, such as 2021-05-01/2021-06-30."
)
_GRID = FLAGS.number("grid", 10240, "Side of a tile of the product in metres, a multiple of 20.", bounds.GRID)
_EXECUTOR = FLAGS.choice(
    "executor",
    "serial",
    ["serial", "dask", "shard"],
    "How to map the tiles: one by one (serial), with Dask workers, or only a share of them (shard).",
)
_WORKERS = FLAGS.number(
    "workers",
    0,
    "dask: number of processes (or Slurm jobs) to start; 0: one per GPU, or one without GPUs.",
    bounds.WORKERS,
)
_SCHEDULER = FLAGS.text("scheduler", "", "dask: address of a running cluster, such as tcp://host:8786.")
_SLURM = FLAGS.texts(
    "slurm",
    None,
    "dask: start workers as Slurm jobs: queue=gpu,memory=16GB,walltime=04:00:00,"
    "job_extra_directives=--gres=gpu:1 (separate several directives by semicolons).",
)
_SHARD = FLAGS.text("shard", None, "shard: share of this process, from 0/16 to 15/16 for 16 processes.")
_PLAN_ONLY = FLAGS.switch("plan_only", False, "Write the plan, print what it contains, and stop.")
_SKIP_REFUSED = FLAGS.switch("skip_refused", False, "Leave out scenes that cannot be used, instead of stopping.")
_CHECK = FLAGS.switch("check", False, "Verify the checksums of existing tiles, and map damaged ones again.")
FLAGS.require("workdir", "input", "output")

_OF_AREAS = (
    "period",
    "grid",
    "executor",
    "workers",
    "scheduler",
    "slurm",
    "shard",
    "plan_only",
    "skip_refused",
    "check",
)


def work() -> None:
    """Runs the mapping. What is wrong with flags, network, area and scene is found before JAX is loaded."""
    check_lists()
    if _CONFIDENCE.value:
        bounds.check_augmented(_AUGMENT.value)
    executor = chosen_executor()
    from jointseg_jax.training.network_meta import network_meta

    contract = network_meta(str(_WORKDIR.value), checkpoint=_CHECKPOINT.value, weights=_WEIGHTS.value).contract
    from jointseg_jax.mapping.scenes.find import is_single

    if _AOI.value is None and is_single(str(_INPUT.value), contract):
        given = [f for f in _OF_AREAS if FLAGS.values[f].present]
        if given:
            raise InputError(f"--{given[0]} applies only to maps of an area: add --aoi=FILE, or remove the flag")
        _map_scene(contract)
    else:
        if _KEEP_GRID.value:
            raise InputError(
                "--keep_grid maps one scene on its own grid, but an area is mapped in UTM: remove the flag"
            )
        _map_area(executor)


def _network() -> Any:
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
    from jointseg_jax.training.trained import load_trained

    use_compilation_cache()
    return load_trained(str(_WORKDIR.value), checkpoint=_CHECKPOINT.value, weights=_WEIGHTS.value)


def _map_scene(contract: "Contract") -> None:
    from jointseg_jax.mapping.scenes.find import single_files
    from jointseg_jax.rasters.cloud_choice import CloudChoice
    from jointseg_jax.rasters.clouds import ClearRule
    from jointseg_jax.rasters.open_scene import open_scene
    from jointseg_jax.rasters.remote import path_of

    path = path_of(str(_INPUT.value))
    with tempfile.TemporaryDirectory(prefix="jointseg-") as stacks:
        opened = open_scene(
            path,
            contract,
            mode=_RADIOMETRY.value,
            keep_grid=_KEEP_GRID.value,
            bands=tuple(int(b) for b in _BANDS.value),
            files=single_files(path, contract, pathlib.Path(stacks)),
            dates=_DATES.value,
            clouds=CloudChoice(_CLOUD.value, ClearRule(_clear(), float(_CLOUD_BUFFER.value))),
        )
        trained = _network()
        from jointseg_jax.mapping.scene_map import map_scene

        map_scene(
            trained,
            opened,
            pathlib.Path(str(_OUTPUT.value)),
            tile=_TILE.value,
            batch=_BATCH.value,
            augment=_AUGMENT.value,
            confidence=_CONFIDENCE.value,
            support=_SUPPORT.value,
            uncertainty=_UNCERTAINTY.value,
            dtype=_DTYPE.value,
            image=_IMAGE.value is not False,
        )


def _clear() -> tuple[int, ...]:
    return tuple(int(code) for code in _CLEAR.value)


def _map_area(executor: "Executor") -> None:
    product, period = pathlib.Path(str(_OUTPUT.value)), _period()
    from jointseg_jax.geo.area_of_interest import read_area

    area = None if _AOI.value is None else read_area(_AOI.value)
    trained = _network()  # loads JAX: whatever can be refused without it comes before
    from jointseg_jax.mapping.area.map_area import map_area, say_memory
    from jointseg_jax.mapping.area.plan_area import plan_area

    plan = plan_area(
        trained,
        str(_INPUT.value),
        area,
        product,
        area_settings(trained),
        period=period,
        skip_refused=_SKIP_REFUSED.value,
    )
    if _PLAN_ONLY.value:
        say_memory(trained, plan)
    else:
        map_area(trained, plan, product, executor, deep=_CHECK.value)


def check_lists() -> None:
    """Raises `InputError` for lists of numbers that are none."""
    if not all(c.strip().isdigit() for c in _CLEAR.value) or not _CLEAR.value:
        raise InputError(f"--clear={','.join(_CLEAR.value)} must be codes of the mask such as 4,5,6,7")
    if not all(b.strip().isdigit() for b in _BANDS.value):
        raise InputError(f"--bands={','.join(_BANDS.value)} must be band numbers such as 1,2,3")


def area_settings(trained: Any) -> "Settings":
    """The settings of the map of an area that the flags choose."""
    from jointseg_jax.mapping.area.product_plan import Settings
    from jointseg_jax.mapping.predictor.uncertainty import stored_digest

    return Settings(
        grid=_GRID.value,
        tile=_TILE.value,
        batch=_BATCH.value,
        augment=_AUGMENT.value,
        dtype=_DTYPE.value,
        image=bool(_IMAGE.value),
        confidence=_CONFIDENCE.value,
        support=_SUPPORT.value,
        uncertainty=stored_digest(trained) if _UNCERTAINTY.value else "",
        radiometry=_RADIOMETRY.value,
        bands=tuple(int(b) for b in _BANDS.value),
        dates=_DATES.value,
        cloud=_CLOUD.value,
        clear=_clear(),
        cloud_buffer=float(_CLOUD_BUFFER.value),
    )


def _period() -> "Period | None":
    from jointseg_jax.sources.dates import DATE_FORMS
    from jointseg_jax.sources.wanted import around

    period = None if _PERIOD.value is None else around(_PERIOD.value, 0)
    if _PERIOD.value is not None and period is None:
        raise InputError(f"--period={_PERIOD.value} is not a date or an interval, such as {DATE_FORMS}")
    return period


def chosen_executor() -> "Executor":
    """The executor that the flags choose; refuses flags of another executor."""
    from jointseg_jax.jobs.executors import Serial, parse_shard

    kind = _EXECUTOR.value
    for flag, owner in (("workers", "dask"), ("scheduler", "dask"), ("slurm", "dask"), ("shard", "shard")):
        if FLAGS.values[flag].value and kind != owner:
            raise InputError(f"--{flag} works only with --executor={owner}: add it, or remove --{flag}")
    if kind == "serial":
        return Serial()
    if kind == "shard":
        if not _SHARD.value:
            raise InputError("--executor=shard needs the share of this process: --shard=0/16 for the first of 16")
        return Serial(shard=parse_shard(_SHARD.value))
    from jointseg_jax.jobs.cluster import Dask
    from jointseg_jax.jobs.workers import slurm_options

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the GPUs' memory is for the workers
    slurm = slurm_options(_SLURM.value) if _SLURM.value else None
    return Dask(_WORKERS.value, scheduler=_SCHEDULER.value, slurm=slurm)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(FLAGS, work, arguments)
