"""Maps one tile, from plan to files; every executor runs this, in any process."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from jointseg_jax import __version__
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.overlap import compare_overlaps
from jointseg_jax.mapping.area.partition import PlannedTile
from jointseg_jax.mapping.predictor import confidence, uncertainty
from jointseg_jax.mapping.predictor.memory import check_room
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import fitted
from jointseg_jax.mapping.predictor.weights import weights_digest
from jointseg_jax.mapping.product.write import touched, write_product
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene
from jointseg_jax.mapping.scenes.merged_scene import MOST, MergedScene, merge_scenes
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window, refine
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, cog_writer
from jointseg_jax.storage import typed
from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
from jointseg_jax.training.trained import Trained, load_trained

TILES = "tiles"


@dataclasses.dataclass
class _State:
    """The objects that a process builds once."""

    predictor: Predictor
    plan: product_plan.Plan
    tiles: Mapping[str, PlannedTile]
    scenes: Mapping[str, CatalogueScene]


class TileWork:
    """The `Work` of a product: maps the tile of the given name.

    The pickle is small: each process loads network, plan and scenes itself.
    """

    def __init__(self, product: str | os.PathLike[str], workdir: str | os.PathLike[str], step: int, weights: str):
        """Stores its arguments; loads nothing.

        Args:
            product: folder that holds a plan.
            workdir: of the training run.
            step, weights: which weights.
        """
        product = pathlib.Path(product)
        workdir = pathlib.Path(workdir)
        self._product, self._workdir = product.absolute(), workdir.absolute()
        self._step, self._weights = step, weights
        self._state: _State | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_state": None}

    def __call__(self, unit: str, /) -> dict[str, Any]:
        """Maps a tile: writes files in `tiles/ZONE/TILE/` and the row of the ledger, which it returns."""
        state = self._state = self._state or self._load()
        tile = state.tiles[unit]
        scenes = [state.scenes[c.scene] for c in tile.candidates]
        row, files = map_tile(state.predictor, state.plan, tile, scenes, self._product)
        return Ledger(self._product / product_plan.LEDGER, self._product).add(unit, row, files)

    def _load(self) -> _State:
        use_compilation_cache()
        trained = load_trained(self._workdir, checkpoint=str(self._step), weights=self._weights)
        plan, scenes = product_plan.load(self._product, trained.meta.contract)
        if weights_digest(trained.params) != plan.network["sha256"]:
            raise InputError(
                f"the weights of step {self._step} in {self._workdir} differ from those that "
                f"{self._product / product_plan.PLAN} was made with: restore the checkpoint, or choose another --output"
            )
        predictor = make_predictor(trained, plan.settings)
        check_room(predictor, dates=max(listed.scene.dates for listed in scenes.values()))
        return _State(predictor, plan, {t.name: t for t in plan.tiles}, scenes)


def check_settings(trained: Trained, settings: product_plan.Settings) -> None:
    """Raises `InputError` if the settings fit no tile, before the tiles fail one by one."""
    predictor = make_predictor(trained, settings)
    if settings.confidence:
        confidence.measured_for(predictor)
    if settings.uncertainty:
        uncertainty.measured_for(predictor, settings.dates, settings.uncertainty)


def make_predictor(trained: Trained, settings: product_plan.Settings) -> Predictor:
    """Builds the predictor of a product; raises `InputError` if a setting is out of bounds."""
    bounds.GRID.check("--grid", settings.grid)
    bounds.TILE.check("--tile", settings.tile)
    side = int(settings.grid / COARSE_SPACING)
    tile, batch = fitted(settings.tile, settings.batch, side, side)
    return Predictor(
        trained,
        settings.halo,
        tile=tile,
        batch=batch,
        images=settings.image,
        support=settings.support,
        augment=settings.augment,
        dtype=settings.dtype,
    )


def map_tile(
    predictor: Predictor,
    plan: product_plan.Plan,
    tile: PlannedTile,
    scenes: list[CatalogueScene],
    product: pathlib.Path,
) -> tuple[dict[str, Any], dict[str, pathlib.Path]]:
    """Maps one tile.

    Args:
        predictor: of the product.
        plan: of the product.
        tile: the tile to map.
        scenes: its candidates, in order.
        product: folder; the tile's files go to `tiles/ZONE/TILE/`.

    Returns:
        The tile's row for the ledger, and its files by name.

    Raises:
        InputError: a scene is unreadable, or a file cannot be written.
    """
    begin = time.perf_counter()
    folder = product / TILES / tile.zone.name / tile.name
    scenes = scenes[:MOST]
    ground = merge_scenes(tile.name, tile.lattice, [s.scene for s in scenes], predictor.trained.meta.contract)
    owned = None if tile.whole else _owned(tile)
    mine = np.ones(ground.shape, bool) if owned is None else touched(owned)
    valid = _valid(ground, mine)
    order, numbers = _chosen(valid)
    used = [scenes[k] for k in order]
    decisions = _decisions(used)
    settings = plan.settings
    record = None
    if settings.uncertainty:
        record = uncertainty.measured_for(predictor, settings.dates, settings.uncertainty)
    made = write_product(
        predictor,
        ground,
        folder,
        decisions,
        owned=owned,
        quick=False,
        confidence=settings.confidence,
        uncertainty=record,
    )
    agreement = compare_overlaps(predictor, ground, valid, [s.id for s in scenes])
    files = {**made.files, "scene": folder / "scene.tif"}
    _write_numbers(files["scene"], tile, used, numbers)
    row = {
        "tile": tile.name,
        "epsg": tile.zone.epsg,
        "bounds": [tile.left, tile.bottom, tile.right, tile.top],
        **_seen(used, numbers, int(mine.sum())),
        "owned_m2": made.owned_m2,
        "valid_m2": made.valid_m2,
        "impervious_m2": made.impervious_m2,
        "statistics": typed.plain(made.statistics),
        "decisions": decisions,
        "agreement": agreement,
        "model": dict(plan.network),
        "seconds": {**made.seconds, "total": time.perf_counter() - begin},
    }
    return row, files


def _write_numbers(path: pathlib.Path, tile: PlannedTile, used: Sequence[CatalogueScene], numbers: np.ndarray) -> None:
    """Writes which scene each 10 m pixel was mapped from."""
    tags = {
        "SOFTWARE": f"jointseg-jax {__version__}",
        **{f"SCENE_{k}": f"{s.id}, {s.date or 'date unknown'}" for k, s in enumerate(used)},
    }
    layout = Layout(tile.lattice, "uint8", ("scene",), IGNORE, tags)
    with cog_writer(path, layout, overviews="mode") as writer:
        writer.write(numbers, Window(0, 0, *numbers.shape))


def _seen(used: Sequence[CatalogueScene], numbers: np.ndarray, pixels: int) -> dict[str, Any]:
    """The time of a tile, if there is one, and its scenes with their shares of its `pixels`."""
    times = {s.datetime for s in used}
    scenes = [
        {
            "id": s.id,
            "datetime": s.datetime,
            "interval": s.interval,
            "cloud": s.cloud,
            "share": float((numbers == k).sum() / pixels),
        }
        for k, s in enumerate(used)
    ]
    return {"datetime": times.pop() if len(times) == 1 else None, "scenes": scenes}


def _owned(tile: PlannedTile) -> np.ndarray:
    """A mask of the 1 m pixels with their centre in the tile's owned ground: bool `[10h, 10w]`."""
    fine = refine(tile.lattice, FINE_FACTOR)
    mask = np.zeros((int(fine.shape[0]), int(fine.shape[1])), np.uint8)
    burn([(part, 1) for part in shapely.get_parts(tile.owned)], mask, fine.affine)
    return mask.view(bool)


def _valid(ground: MergedScene, mine: np.ndarray) -> list[np.ndarray]:
    """Per scene, where it has data on the tile's owned ground: bool `[h, w]`."""
    handles = Handles()
    try:
        whole = Window(0, 0, *ground.shape)
        return [mine & ground.valid_of(k, whole, handles) for k in range(len(ground.parts))]
    finally:
        handles.close()


def _chosen(valid: list[np.ndarray]) -> tuple[list[int], np.ndarray]:
    """The scenes that the map shows, in order, and the index of each pixel's scene (255 for none), uint8."""
    order: list[int] = []
    numbers = np.full(valid[0].shape, IGNORE, np.uint8)
    for k, here in enumerate(valid):
        new = here & (numbers == IGNORE)
        if new.any():
            numbers[new] = len(order)
            order.append(k)
    return order, numbers


def _decisions(used: list[CatalogueScene]) -> dict[str, str]:
    """How values were interpreted: one text if all scenes agree, otherwise one per scene."""
    found: dict[str, str] = {}
    for key in dict.fromkeys(k for s in used for k in s.decisions):
        texts = {s.id: s.decisions.get(key, "unknown") for s in used}
        distinct = set(texts.values())
        found[key] = distinct.pop() if len(distinct) == 1 else "; ".join(f"{k}: {text}" for k, text in texts.items())
    return found
