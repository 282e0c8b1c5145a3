"""Maps an area of interest from scenes; `predict.py --aoi` runs it."""

import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import shapely
import tqdm

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import bbox, cut_at_180
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.jobs.executors import Executor, Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.units import Event, run_units
from jointseg_jax.mapping.area import product_plan, rates
from jointseg_jax.mapping.area.partition import Coverage, coverage, partition, with_scenes
from jointseg_jax.mapping.area.tile_work import TileWork, check_settings, make_predictor
from jointseg_jax.mapping.predictor.halo import halo_for, kept
from jointseg_jax.mapping.predictor.memory import check_room, memory
from jointseg_jax.mapping.predictor.weights import weights_digest
from jointseg_jax.mapping.product.product_folder import claim_product
from jointseg_jax.mapping.records.model_card import checkpoint_asset, model_item
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene, Refused, open_all
from jointseg_jax.mapping.scenes.find import find
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.storage import typed
from jointseg_jax.storage.folders import check_apart
from jointseg_jax.training.trained import Trained

_MEASURED_ON = 4  # scenes on which measuring the halo is tried
_LISTED = 5
_EDGE = 25.0  # metres between vertices of a scene's rectangle: its sides then follow the grid lines closely


def plan_area(
    trained: Trained,
    source: str | os.PathLike[str],
    area: shapely.Geometry | None,
    product: str | os.PathLike[str],
    settings: product_plan.Settings,
    *,
    skip_refused: bool = False,
    say: Callable[[str], None] = print,
) -> product_plan.Plan:
    """Finds scenes and tiles, reports them, and writes the plan into the product.

    Args:
        trained: the network.
        source: see `scenes.find.find`.
        area: polygons in degrees; None for the rectangles of all scenes.
        product: folder; created if missing.
        settings: requested; the halo is that of tiles mapped earlier, or measured here.
        skip_refused: continue without unusable scenes.
        say: receives the lines of the report.

    Raises:
        InputError: nothing to map, a scene that breaks the contract, a folder with other files or another plan.
    """
    source = pathlib.Path(source)
    product = pathlib.Path(product)
    with claim_product(product, inputs=[source]):
        return _plan_area(trained, source, area, product, settings, skip_refused, say)


def _plan_area(
    trained: Trained,
    source: pathlib.Path,
    area: shapely.Geometry | None,
    product: pathlib.Path,
    settings: product_plan.Settings,
    skip_refused: bool,
    say: Callable[[str], None],
) -> product_plan.Plan:
    check_settings(trained, settings)
    key = product_plan.catalogue_key(trained.meta.contract, settings.radiometry, settings.bands)
    scenes, refused = _scenes(trained, source, product, settings, skip_refused, key, say)
    made = (product / "inputs").absolute()  # the virtual rasters that `find` writes
    read = [path for scene in scenes for path, *_ in scene.stamps]
    check_apart(product, [path for path in read if not pathlib.Path(path).is_relative_to(made)])
    if area is None:
        area = polygonal(shapely.union_all([_footprint(s) for s in scenes]))
        say("area    no --aoi given: the bounding rectangles of all scenes are mapped")
    network = {
        "name": trained.name,
        "step": trained.step,
        "weights": trained.weights,
        "sha256": weights_digest(trained.params),
    }
    halo = product_plan.halo_in_use(product, network)
    if halo is None:
        halo = _halo(trained, scenes, say)
    settings = dataclasses.replace(settings, halo=halo)
    tiles = with_scenes(list(partition(area, settings.grid)), scenes, halo * COARSE_SPACING)
    covered = coverage(area, tiles, scenes)
    mapped = sum(t.owned_m2 for t in tiles if t.candidates) - _beside(covered, tiles)
    expected = rates.expect(trained.workdir, settings, mapped / 1e6)
    about = {
        "aoi_km2": covered.aoi_m2 / 1e6,
        "tiles": len(tiles),
        "tiles_with_scenes": sum(bool(t.candidates) for t in tiles),
        "tiles_km2": covered.owned_m2 / 1e6,
        "without_scene_km2": covered.without_scene_m2 / 1e6,
        "scenes": len(scenes),
        "refused": typed.plain(refused),
        "expected": expected,
    }
    plan = product_plan.Plan(tuple(tiles), settings, network, about)
    if not plan.units:
        raise InputError(_nothing(source, tiles, scenes))
    product_plan.save(product, plan, scenes, key)
    _introduce(plan, covered, product, say)
    return plan


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
    begin = time.perf_counter()
    areas = {t.name: t.owned_m2 for t in plan.tiles}
    terminal = sys.stderr.isatty()
    with tqdm.tqdm(total=len(plan.units), unit="tile", mininterval=0.5 if terminal else 15) as bar:

        def tell(event: Event) -> None:
            bar.total = event.total
            bar.update(event.settled - bar.n)
            if event.kind == "done":
                done = (time.perf_counter() - begin) or 1e-9
                finished.append(areas[event.unit])
                bar.set_postfix_str(f"{sum(finished) / 1e6 / done * 3600:.3g} km2/h")
            elif event.kind in ("failed", "quarantined"):
                next_step = "will be tried again" if event.kind == "failed" else "is set aside"
                bar.write(f"tile {event.unit} failed and {next_step}: {event.error}", file=sys.stderr)

        finished: list[float] = []
        outcome = run_units(plan.units, work, ledger, executor, on_event=tell, say=say, deep=deep)
    if outcome.skipped:
        say(f"skipped {len(outcome.skipped)} tiles that were done before")
    if outcome.done:
        rates.keep(trained.workdir, plan.settings, list(outcome.done.values()))
    rows = {name: row for name, row in ledger.done().items() if name in areas}
    _conclude(trained, plan, product, rows, whole=executor.shard[1] == 1, say=say)
    outcome.raise_unfinished()


def _scenes(
    trained: Trained,
    source: pathlib.Path,
    product: pathlib.Path,
    settings: product_plan.Settings,
    skip_refused: bool,
    key: str,
    say: Callable[[str], None],
) -> tuple[list[CatalogueScene], list[Refused]]:
    contract = trained.meta.contract
    found = find(source, contract, product / "inputs", say=say)
    known = product_plan.known_scenes(product, key, contract)
    with tqdm.tqdm(total=len(found), unit="scene", leave=False, disable=None) as bar:
        scenes, refused = open_all(
            found,
            contract,
            mode=settings.radiometry,
            bands=settings.bands,
            known=known,
            on_scene=lambda *_: bar.update(),
        )
    for item in refused[:_LISTED]:
        say(f"refused scene {item.id}: {item.reason}")
    if len(refused) > _LISTED:
        say(f"refused {len(refused) - _LISTED} more scenes; with --skip_refused, {product_plan.PLAN} lists all of them")
    if not scenes:
        raise InputError(f"none of the {len(refused)} scenes of {source} can be used; the first: {refused[0].reason}")
    if refused and not skip_refused:
        raise InputError(
            f"{len(refused)} of the {len(found)} scenes of {source} cannot be used; the first: {refused[0].reason}; "
            "remove them, or add --skip_refused to map without them"
        )
    return scenes, refused


def _halo(trained: Trained, scenes: Sequence[CatalogueScene], say: Callable[[str], None]) -> int:
    """Measures the halo on the largest scenes, until one yields a result that is stored."""
    largest = sorted(scenes, key=lambda s: (-s.valid.mean() * s.scene.shape[0] * s.scene.shape[1], s.id))
    found = 0
    for entry in largest[:_MEASURED_ON]:
        found = max(found, halo_for(trained, entry.scene, say=say))
        if kept(trained) is not None:
            return halo_for(trained, entry.scene, say=lambda _: None)
    return found


def _footprint(scene: CatalogueScene) -> shapely.Geometry:
    zone = zone_of_epsg(scene.epsg)
    assert zone is not None, scene.id
    return cut_at_180(to_degrees(shapely.box(*scene.bounds), zone, step=_EDGE))


def _beside(covered: Coverage, tiles: Sequence[Any]) -> float:
    """Square metres without a scene in tiles that have a scene elsewhere."""
    return covered.without_scene_m2 - sum(t.owned_m2 for t in tiles if not t.candidates)


def _nothing(source: pathlib.Path, tiles: Sequence[Any], scenes: Sequence[CatalogueScene]) -> str:
    zones = sorted({t.zone.name for t in tiles})
    places = []
    for scene in scenes[:_LISTED]:
        west, south, east, north = bbox(_footprint(scene))
        places.append(f"{scene.id} in EPSG:{scene.epsg}, {west:.3f}, {south:.3f} to {east:.3f}, {north:.3f}")
    return (
        f"no scene of {source} overlaps the area of interest in UTM zone{'s' * (len(zones) != 1)} {', '.join(zones)}: "
        f"correct --aoi, or add scenes in the CRS of such a zone; the scenes (in degrees) are {'; '.join(places)}"
        f"{'; ...' * (len(scenes) > _LISTED)}"
    )


def _introduce(plan: product_plan.Plan, covered: Coverage, product: pathlib.Path, say: Callable[[str], None]) -> None:
    about, settings = plan.about, plan.settings
    zones = sorted({t.zone.name for t in plan.tiles})
    say(f"scenes  {about['scenes']}" + (f", {len(about['refused'])} refused" if about["refused"] else ""))
    preferred = {s.candidates[0].scene for s in plan.tiles if s.candidates}
    say(
        f"area    {_km2(covered.aoi_m2)} in zone{'s' * (len(zones) != 1)} {', '.join(zones)}: {len(plan.tiles)} tiles "
        f"of {settings.grid / 1000:g} km, {len(plan.units)} with a scene; {len(preferred)} scenes are the first choice "
        "of a tile"
    )
    if covered.without_scene_m2 > 0.5:
        share = covered.without_scene_m2 / covered.aoi_m2
        missing = _km2(covered.without_scene_m2)
        say(f"warning {missing} ({share:.1%}) of the area are outside all scenes of their zone and become nodata")
    say(
        f"network {plan.network['name']}, step {plan.network['step']}, {plan.network['weights']} weights; windows of "
        f"{settings.tile} input pixels, halo {settings.halo}"
    )
    expected = about["expected"]
    if expected is None:
        say("expect  time and size unknown: this network was not yet run with these settings on this kind of device")
    else:
        say(
            f"expect  {rates.hours(expected['seconds'])} on one worker, {expected['bytes'] / 1e9:.3g} GB of files "
            f"(extrapolated from {expected['measured_km2']:.3g} km2)"
        )
    say(f"plan    {product / product_plan.PLAN}")


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
    say(f"map     {_km2(owned)} in {len(rows)} tiles, {_km2(valid)} of it valid{share}")
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
    return (trained.workdir / "checkpoints" / str(trained.step)).absolute().as_uri()


def _km2(square_metres: float) -> str:
    return f"{square_metres / 1e6:,.4g} km2" if square_metres < 1e10 else f"{square_metres / 1e6:,.0f} km2"
