"""Maps the tiles of a plan; `jointseg predict --aoi` runs it."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from jointseg_jax.jobs.executors import Executor, Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.progress import progress_bar
from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.jobs.units import run_units
from jointseg_jax.mapping.area import product_plan, rates
from jointseg_jax.mapping.area.tile_work import TileWork, make_predictor
from jointseg_jax.mapping.predictor.memory import check_room, memory
from jointseg_jax.mapping.records.model_card import checkpoint_asset, model_item
from jointseg_jax.training.trained import Trained


def say_memory(trained: Trained, plan: product_plan.Plan, *, say: Callable[[str], None] = print) -> None:
    """Reports the maximum memory of a worker; compiles the network to measure it.

    Args:
        trained: the network.
        plan: of the product.
        say: receives the line.
    """
    need = memory(make_predictor(trained, plan.settings))
    say(f"memory  a worker needs at most {need} for its tiles, plus programs and libraries, for scenes of any size")


def map_area(
    trained: Trained,
    plan: product_plan.Plan,
    product: str | os.PathLike[str],
    executor: Executor,
    *,
    deep: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Maps the tiles that are missing from the product's ledger, then writes its records.

    Args:
        trained: the network.
        plan: of the product.
        product: folder.
        executor: runs the tiles.
        deep: verify the checksums of existing files.
        say: receives the lines of the report.

    Raises:
        InputError: another run uses the product, or existing files do not fit.
        Interrupted, StorageError: the same call resumes.
        Unfinished: some tiles failed repeatedly.
    """
    product = pathlib.Path(product)
    ledger = Ledger(product / product_plan.LEDGER, product, say=say)
    if isinstance(executor, Serial):
        check_room(make_predictor(trained, plan.settings))  # workers of other executors check their own machine
    work = TileWork(product, trained.workdir, trained.step, trained.weights)
    km2 = {t.name: t.owned_m2 / 1e6 for t in plan.tiles if t.candidates}
    with progress_bar("tile", km2, "h") as tell:
        outcome = run_units(
            plan.units,
            work,
            RunFolder(ledger.folder),
            executor,
            find=lambda tile: ledger.find(tile, deep),
            on_event=tell,
            say=say,
            noun="tile",
        )
    if outcome.skipped:
        say(f"skipped {len(outcome.skipped)} tiles that were done before")
    if outcome.done:
        rates.keep(trained.workdir, plan.settings, list(outcome.done.values()))
    rows = {name: row for name, row in ledger.done().items() if name in km2}
    _conclude(trained, plan, product, rows, whole=executor.shard[1] == 1, say=say)
    outcome.raise_unfinished()


def _conclude(
    trained: Trained,
    plan: product_plan.Plan,
    product: pathlib.Path,
    rows: dict[str, dict[str, Any]],
    *,
    whole: bool,
    say: Callable[[str], None],
) -> None:
    missing = len(plan.units) - len(rows)
    if not rows:
        return
    if missing and not whole:
        say(
            f"shard   its tiles are done; {missing} of all {len(plan.units)} tiles are not done, or not visible here "
            "yet: the last shard writes the records; if none has written them, run any shard again once all are done"
        )
        return
    from jointseg_jax.mapping.records.stac_records import write_records

    owned, valid, impervious = (sum(r[k] for r in rows.values()) for k in ("owned_m2", "valid_m2", "impervious_m2"))
    share = f", {impervious / valid:.2%} of the valid area is {trained.meta.contract.label}" if valid else ""
    say(f"map     {rates.km2(owned)} in {len(rows)} tiles, {rates.km2(valid)} of it valid{share}")
    pairs = [a for r in rows.values() for a in r["agreement"]]
    pixels = sum(a["pixels"] for a in pairs)
    if pixels:
        same = sum(a["class_agreement"] * a["pixels"] for a in pairs) / pixels
        change = sum(a["mean_difference"] * a["pixels"] for a in pairs) / pixels
        say(
            f"overlap the maps of {len(pairs)} pairs of scenes were compared on {pixels / 1e6:.3g} km2: {same:.1%} of "
            f"the pixels have the same class in both, the mean difference in probability is {change:.3f}"
        )
    card = model_item(trained, {"checkpoint": checkpoint_asset(trained, _checkpoint(trained))})
    card["properties"]["mlm:hyperparameters"]["halo"] = plan.settings.halo  # a newer measurement may differ
    write_records(product, rows, card, say=say)


def _checkpoint(trained: Trained) -> str:
    return trained.stored.absolute().as_uri()
