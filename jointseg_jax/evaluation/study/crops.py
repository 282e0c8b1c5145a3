"""Draws crops of the scene left out as every row of a study maps them, side by side."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.panels import about, errors, legend
from jointseg_jax.evaluation.study.report import CROPS
from jointseg_jax.evaluation.study.runs import RESULT, Run, Study
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import Tile
from jointseg_jax.mapping.product.rasters import classes_of
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.storage.files import read_json
from jointseg_jax.training.trained import Trained, load_trained

_SIDE = 32  # of a crop, 10 m pixels, if the sites are as large
_COUNT = 4
_KNOWN = 0.9  # least labelled share of a crop
_WIDEST = 3600  # of a picture, pixels
_PREFERRED = "joint"  # the row whose images are shown, if it is there


@dataclasses.dataclass(frozen=True)
class Crop:
    """A square of ground: a site and its window on the 10 m lattice."""

    site: str
    window: Window


@dataclasses.dataclass(frozen=True)
class Mapped:
    """What a row makes of the crops: one tile each, and the network."""

    trained: Trained
    data: Dataset
    tiles: tuple[Tile, ...]


def draw(found: Study, runs: Sequence[Run], say: Callable[[str], None] = print) -> None:
    """Draws one picture per fold: input, images, true image, label, and the map of every row.

    Args:
        found: the study.
        runs: those that are finished are drawn, of each row and fold the first.
        say: receives a line per picture.

    Raises:
        InputError: none is finished, or its dataset is missing.
    """
    chosen: dict[str, dict[str, Run]] = {}
    for run in runs:
        if (run.workdir(found.folder) / RESULT).exists():
            chosen.setdefault(run.fold, {}).setdefault(run.row, run)
    if not chosen:
        raise InputError(f"{found.folder} has no finished run of these rows, folds and seeds: train them first")
    for fold, rows in chosen.items():
        path = found.folder / CROPS / f"{fold}.png"
        path.parent.mkdir(exist_ok=True)
        drawing.save_png(path, _picture(found, fold, rows, say))
        say(f"{path}: {', '.join(rows)}")


def _picture(found: Study, fold: str, rows: Mapping[str, Run], say: Callable[[str], None]) -> np.ndarray:
    crops: list[Crop] = []
    mapped: dict[str, Mapped] = {}
    titles: dict[str, str] = {}
    for row, run in rows.items():
        workdir = run.workdir(found.folder)
        trained = load_trained(workdir)
        data = datasets.load(found.dataset(fold, found.rows[row].dates), hold=False)
        crops = crops or mixed_crops(data, "test")
        mapped[row] = Mapped(trained, data, _tiles(trained, data, crops, say))
        f1 = read_json(workdir / "evaluation" / "test" / "metrics.json")["overall"]["isa"]["f1"]
        titles[row] = f"map of {row}, F1 {f1:.3f}"
    with_images = [row for row in mapped if mapped[row].tiles[0].images]
    shown = _PREFERRED if _PREFERRED in with_images else next(iter(with_images), next(iter(mapped)))
    handles = Handles()
    lines = []
    for k, crop in enumerate(crops):
        cells = _ground(mapped[shown], crop, k, shown, handles)
        label = _label(mapped[shown].data, crop, handles)
        for row, of in mapped.items():
            threshold = of.trained.meta.calibration.threshold
            cells[titles[row]] = errors(classes_of(of.tiles[k], threshold), label)
        lines.append(cells)
    handles.close()
    heads = list(lines[0])
    ground = [COARSE_SPACING * crop.window.height for crop in crops]
    grid = drawing.panels(
        [list(cells.values()) for cells in lines], heads, min(256, _WIDEST // len(heads)), metres=ground
    )
    head = (
        f"{_places(mapped[shown].data, crops)}; left out of training (fold {fold}): {len(crops)} crops of "
        f"{10 * crops[0].window.height} m with the most mixed labels; seed {next(iter(rows.values())).seed}; F1 over "
        "all of the fold"
    )
    name = mapped[shown].data.contract.label
    return drawing.framed(grid, head, legend(name))


def _places(data: Dataset, crops: Sequence[Crop]) -> str:
    """Name, region, place and date of the sites of crops."""
    return "; ".join(about(data.sites[name]) for name in dict.fromkeys(crop.site for crop in crops))


def mixed_crops(data: Dataset, split: str) -> list[Crop]:
    """The squares of a split whose labels are most mixed, best first.

    Raises:
        InputError: no square lies wholly in the split and is labelled.
    """
    sites = data.sites_of(split)
    side = min(_SIDE, *(min(site.height, site.width) for site in sites))
    ranked: list[tuple[float, Crop]] = []
    handles = Handles()
    for site in sites:
        for row in range(0, site.height - side + 1, side):
            for col in range(0, site.width - side + 1, side):
                crop = Crop(site.name, Window(row, col, side, side))
                ground = read_window(handles.get(str(data.root / site.split)), crop.window)[0][..., 0]
                label = _label(data, crop, handles)
                known = label != IGNORE
                if (ground == CODES[split]).all() and known.mean() >= _KNOWN:
                    share = float((label[known] == 1).mean())
                    ranked.append((min(share, 1 - share), crop))
    handles.close()
    ranked.sort(key=lambda item: -item[0])
    if not ranked:
        raise InputError(f"{data.root} has no labelled square of {10 * side} m in split {split!r} to draw")
    return [crop for _, crop in ranked[:_COUNT]]


def _label(data: Dataset, crop: Crop, handles: Handles) -> np.ndarray:
    path = str(data.root / data.sites[crop.site].label)
    return read_window(handles.get(path), crop.window.scale(FINE_FACTOR))[0][..., 0]


def _tiles(trained: Trained, data: Dataset, crops: Sequence[Crop], say: Callable[[str], None]) -> tuple[Tile, ...]:
    scenes = {crop.site: data.scene(crop.site, trained.meta.contract) for crop in crops}
    predictor = Predictor(
        trained, halo_for(trained, scenes[crops[0].site], say=say), tile=crops[0].window.height, batch=1
    )
    return tuple(next(iter(predictor.run_windows(scenes[crop.site], [crop.window]))) for crop in crops)


def _ground(of: Mapped, crop: Crop, number: int, row: str, handles: Handles) -> dict[str, np.ndarray]:
    """Title -> picture of a crop, without maps: the input, the images of a row, the true image, the label."""
    scene = of.data.scene(crop.site, of.trained.meta.contract)
    fine, tile = crop.window.scale(FINE_FACTOR), of.tiles[number]
    assert scene.image is not None
    order = list(rgb_order(scene.contract.image_bands))
    target, target_valid = scene.image.read(fine, handles)
    limits = drawing.stretch_limits(target[..., order], target_valid)
    primary = scene.read(crop.window, handles)[scene.contract.primary.name]
    coarse = primary["values"][0][..., list(scene.contract.image_index)][..., order]

    def enlarged(rgb: np.ndarray) -> np.ndarray:
        return drawing.resize_nearest(rgb, fine.height, fine.width)

    cells = {"input, 10 m": enlarged(drawing.stretch(coarse, limits, primary["valid"][0]))}
    for image in tile.images:
        spacing = float(10 / Fraction(image.shape[0], crop.window.height))
        seen = drawing.resize_mask(tile.valid, *image.shape[:2])
        cells[f"image of {row}, {spacing:g} m"] = enlarged(drawing.stretch(image[..., order], limits, seen))
    cells["true image, 1 m"] = drawing.stretch(target[..., order], limits, target_valid)
    cells["label"] = drawing.colour_classes(_label(of.data, crop, handles))
    return cells
