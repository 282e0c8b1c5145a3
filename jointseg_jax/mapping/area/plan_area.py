"""Plans the map of an area: finds its scenes and tiles; `jointseg predict --aoi` runs it before `map_area`."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import shapely
import tqdm

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import bbox, cut_at_180
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.mapping.area import product_plan, rates
from jointseg_jax.mapping.area.partition import Coverage, coverage, partition, with_scenes
from jointseg_jax.mapping.area.tile_work import check_settings
from jointseg_jax.mapping.predictor.halo import halo_for, kept
from jointseg_jax.mapping.predictor.weights import weights_digest
from jointseg_jax.mapping.product.product_folder import claim_product
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.mapping.scenes.open_all import Refused, open_all
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.sources.wanted import Box, Period, Wanted
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
    period: Period | None = None,
    skip_refused: bool = False,
    say: Callable[[str], None] = print,
) -> product_plan.Plan:
    """Finds scenes and tiles, reports them, and writes the plan into the product.

    Args:
        trained: the network.
        source: see `scenes.find.find_scenes`.
        area: polygons in degrees; None for the rectangles of all scenes.
        product: folder; created if missing.
        settings: requested; the halo is that of tiles mapped earlier, or measured here.
        period: first and last second, UTC, of the scenes to use; None for all.
        skip_refused: continue without unusable scenes.
        say: receives the lines of the report.

    Raises:
        InputError: nothing to map, a scene that breaks the contract, a folder with other files or another plan.
    """
    source = remote.path_of(source)
    product = pathlib.Path(product)
    wanted = Wanted(None if area is None else _box(area), period)
    with claim_product(product, inputs=[source]):
        return _plan_area(trained, source, area, wanted, product, settings, skip_refused, say)


def _plan_area(
    trained: Trained,
    source: pathlib.Path,
    area: shapely.Geometry | None,
    wanted: Wanted,
    product: pathlib.Path,
    settings: product_plan.Settings,
    skip_refused: bool,
    say: Callable[[str], None],
) -> product_plan.Plan:
    check_settings(trained, settings)
    key = product_plan.catalogue_key(trained.meta.contract, settings)
    scenes, refused = _scenes(trained, source, wanted, product, settings, skip_refused, key, say)
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


def _scenes(
    trained: Trained,
    source: pathlib.Path,
    wanted: Wanted,
    product: pathlib.Path,
    settings: product_plan.Settings,
    skip_refused: bool,
    key: str,
    say: Callable[[str], None],
) -> tuple[list[CatalogueScene], list[Refused]]:
    contract = trained.meta.contract
    found = find_scenes(source, contract, product / "inputs", dates=settings.dates, wanted=wanted, say=say)
    known = product_plan.known_scenes(product, key, contract)
    with tqdm.tqdm(total=len(found), unit="scene", leave=False, disable=None) as bar:
        scenes, refused = open_all(
            found,
            contract,
            mode=settings.radiometry,
            bands=settings.bands,
            clouds=settings.clouds,
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


def _box(area: shapely.Geometry) -> Box:
    west, south, east, north = bbox(area)
    return west, south, east, north


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
        f"area    {rates.km2(covered.aoi_m2)} in zone{'s' * (len(zones) != 1)} {', '.join(zones)}: {len(plan.tiles)} "
        f"tiles of {settings.grid / 1000:g} km, {len(plan.units)} with a scene; {len(preferred)} scenes are the first "
        "choice of a tile"
    )
    if covered.without_scene_m2 > 0.5:
        share = covered.without_scene_m2 / covered.aoi_m2
        missing = rates.km2(covered.without_scene_m2)
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
