"""Draws the most mixed crops of a site as rows of panels."""

import pathlib
from fractions import Fraction

import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.geo.place import in_degrees
from jointseg_jax.mapping.predictor.tiles import Tile
from jointseg_jax.mapping.product.rasters import classes_of
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.sources.dates import without_times
from jointseg_jax.training.trained import Trained

_PANEL = 32  # coarse pixels on the side of a panel's crop
FOUND_COLOUR, OTHER_COLOUR = (50, 50, 50), (245, 245, 245)  # of classes 1 and 0 where the map is right
MISSED_COLOUR, FALSE_COLOUR = (31, 119, 180), (255, 127, 14)


def legend(label: str) -> list[tuple[tuple[int, int, int], str]]:
    """Colours and meanings of labels, maps and errors; `label` names class 1."""
    return [
        (drawing.IMPERVIOUS_COLOUR, label),
        (drawing.PERVIOUS_COLOUR, "other"),
        (FOUND_COLOUR, f"{label}, found"),
        (MISSED_COLOUR, "missed"),
        (FALSE_COLOUR, "false"),
        (OTHER_COLOUR, "other, right"),
        (drawing.NODATA_COLOUR, "unknown"),
    ]


def about(site: Site) -> str:
    """Name, region, place and date of a site, as far as they are known."""
    half = COARSE_SPACING / 2
    middle = (site.left + half * site.width, site.top - half * site.height)
    place = in_degrees(site.crs, *middle)
    return ", ".join(part for part in (site.name, site.region, place, without_times(site.date)) if part)


class Panels:
    """Keeps the most mixed crops of a site and draws them: input, stages, target, label, map, errors."""

    def __init__(self, data: Dataset, site: Site, trained: Trained, count: int = 4):
        self._data, self._site, self._trained, self._count = data, site, trained, count
        self._kept: list[tuple[tuple[int, float], Window, Tile]] = []

    def offer(self, tile: Tile) -> None:
        """Considers the crops of a tile, laid side by side from its top left corner."""
        row, col, height, width = tile.window
        side = min(_PANEL, height, width)
        if side < 8:
            return
        mapped = tile.probability >= self._trained.meta.calibration.threshold
        for top in range(0, height - side + 1, side):
            for left in range(0, width - side + 1, side):
                crop = Window(top, left, side, side)
                share = float(mapped[crop.scale(FINE_FACTOR).slices()].mean() * tile.valid[crop.slices()].mean())
                # Whole crops rank before narrow ones of edge tiles; then the most mixed first.
                rank = (side, min(share, 1 - share))
                self._kept.append((rank, Window(row + top, col + left, side, side), tile))
        self._kept.sort(key=lambda item: item[0], reverse=True)
        del self._kept[self._count :]

    def save(self, path: pathlib.Path) -> None:
        """Draws the kept crops."""
        if not self._kept:
            return
        scene = self._data.scene(self._site.name, self._trained.meta.contract)
        handles = Handles()
        rows, titles = [], []
        for _, window, tile in self._kept:
            cells = self._cells(scene, window, tile, handles)
            titles = [title for title, _ in cells]
            rows.append([rgb for _, rgb in cells])
        handles.close()
        side = COARSE_SPACING * self._kept[0][1].height
        head = f"{about(self._site)}: the {len(rows)} most mixed crops of {side:g} m"
        grid = drawing.panels(rows, titles, metres=[COARSE_SPACING * w.height for _, w, _ in self._kept])
        prior = [(drawing.PRIOR_COLOUR, "prior, not measured")] if "prior share" in titles else []
        drawing.save_png(path, drawing.framed(grid, head, [*legend(scene.contract.label), *prior]))

    def _cells(self, scene: Scene, window: Window, tile: Tile, handles: Handles) -> list[tuple[str, np.ndarray]]:
        fine = window.scale(FINE_FACTOR)
        inside = Window(window.row - tile.window.row, window.col - tile.window.col, window.height, window.width)
        assert scene.image is not None
        target, target_valid = scene.image.read(fine, handles)
        order = list(rgb_order(scene.contract.image_bands))
        target = target[..., order]
        limits = drawing.stretch_limits(target, target_valid)
        primary = scene.read(window, handles)[scene.contract.primary.name]
        coarse = primary["values"][0][..., list(scene.contract.image_index)][..., order]
        seen = tile.valid[inside.slices()]
        label = read_window(handles.get(str(self._data.root / self._site.label)), fine)[0][..., 0]
        mapped = classes_of(tile, self._trained.meta.calibration.threshold)[inside.scale(FINE_FACTOR).slices()]
        cells = [
            (
                "input 10 m",
                drawing.resize_nearest(drawing.stretch(coarse, limits, primary["valid"][0]), fine.height, fine.width),
            )
        ]
        for image in tile.images:
            scale = Fraction(image.shape[0], tile.window.height)  # 5/2 for a stage at 4 m
            top, left = (int(edge * scale) for edge in (inside.row, inside.col))
            bottom, right = top + int(inside.height * scale), left + int(inside.width * scale)
            crop = image[top:bottom, left:right][..., order]
            crop = drawing.stretch(crop, limits, drawing.resize_mask(seen, *crop.shape[:2]))
            cells.append((f"SR {10 / float(scale):g} m", drawing.resize_nearest(crop, fine.height, fine.width)))
        if tile.support is not None:
            place = inside.scale(FINE_FACTOR).slices()
            cells.append(("prior share", prior_share(tile.support[place], tile.fine_valid[place])))
        cells.append(("target 1 m", drawing.stretch(target, limits, target_valid)))
        cells.append((f"label: {scene.contract.label}", drawing.colour_classes(label)))
        cells.append(("map", drawing.colour_classes(mapped)))
        cells.append(("errors", errors(mapped, label)))
        return cells


def prior_share(support: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Colours the share of an image's detail that is not measured, from white to violet. uint8 [h, w, 3]."""
    share = 1 - np.clip(support, 0, 1)[..., None]
    rgb = np.round((1 - share) * 255 + share * np.array(drawing.PRIOR_COLOUR)).astype(np.uint8)
    return np.where(valid[..., None], rgb, np.array(drawing.NODATA_COLOUR, np.uint8))


def errors(mapped: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Colours the errors: missed class 1 blue, falsely mapped orange, the rest the label in grey. uint8 [h, w, 3]."""
    rgb = np.where(label[..., None] == 1, np.array(FOUND_COLOUR, np.uint8), np.array(OTHER_COLOUR, np.uint8))
    known = (label != IGNORE) & (mapped != IGNORE)
    rgb[known & (label == 1) & (mapped == 0)] = MISSED_COLOUR
    rgb[known & (label == 0) & (mapped == 1)] = FALSE_COLOUR
    rgb[~known] = drawing.NODATA_COLOUR
    return rgb
