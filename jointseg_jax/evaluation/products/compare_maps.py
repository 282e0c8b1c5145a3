"""Compares a map with other products over its whole extent, window by window."""

import pathlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.agreement import Agreement, differences
from jointseg_jax.evaluation.products.difference_map import Picture, difference_writer
from jointseg_jax.evaluation.products.given import Given
from jointseg_jax.evaluation.products.layer import Layer
from jointseg_jax.evaluation.products.maps import MAP_FILE, OurMap, read_classes, windows
from jointseg_jax.evaluation.products.regions import ALL, Regions
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, crs_text, spacing_of
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage.files import file_name

Groups = dict[str, dict[str, Agreement]]  # region -> product


def compare(
    ours: OurMap,
    products: Sequence[Given],
    regions: Regions | None = None,
    output: pathlib.Path | None = None,
    *,
    rasters: bool = False,
    announce: Callable[[list[str]], None] = lambda names: None,
) -> dict[str, dict[str, Any]]:
    """Compares a map with products; memory is bounded by the window, and by the cells at the edges of windows.

    Args:
        ours: the map.
        products: the others, with different names.
        regions: figures of each, beside those of all ground.
        output: folder for pictures of the differences, a PNG per product and zone; None for none.
        rasters: also write the differences as cloud-optimised GeoTIFFs, one per raster of the map.
        announce: told the names of files before they are written.

    Returns:
        Region (or `all`) -> product -> figures, see `Agreement.figures`.

    Raises:
        InputError: a raster is unreadable, or a product has no data on the map.
    """
    handles = Handles(limit=16)
    layers = [Layer(given, handles) for given in products]
    spacing = spacing_of(ours.files[0][1])
    names = (ALL, *dict.fromkeys(regions.names)) if regions else (ALL,)
    groups: Groups = {name: {p.name: Agreement(spacing) for p in products} for name in names}
    pictures = _Pictures(ours) if output is not None else None
    try:
        for path, lattice in ours.files:
            with ExitStack() as stack:
                writers = {}
                if output is not None and rasters:
                    for given in products:
                        name = f"difference/{file_name(given.name)}/{_stem(path)}.tif"
                        announce([name])
                        writer = difference_writer(output / name, lattice, given.title)
                        writers[given.name] = stack.enter_context(writer)
                areas = PixelAreas(lattice)
                for window, masked in _ground(path, lattice, regions, handles):
                    area = areas.pixel(window)
                    for layer in layers:
                        code = _add(layer, lattice, window, masked, area, groups)
                        if pictures is not None:
                            pictures.add(layer.given.name, lattice, window, code)
                        if layer.given.name in writers:
                            writers[layer.given.name].write(code, window)
    finally:
        handles.close()
    found = {name: {p: a.figures() for p, a in members.items()} for name, members in groups.items()}
    for given in products:
        if not found[ALL][given.name]["compared_km2"]:
            raise InputError(
                f"{given.files[0]} has no known ground of {given.title} on the map {ours.name}: give its files that "
                "cover the map, or correct its codes or its CRS"
            )
    if pictures is not None and output is not None:
        for given in products:
            for name, save in pictures.files(given):
                announce([name])
                save(output / name)
    return found


def _ground(
    path: pathlib.Path, lattice: GeoBox, regions: Regions | None, handles: Handles
) -> Iterator[tuple[Window, dict[str, np.ndarray]]]:
    """Windows with mapped ground: classes of all ground, and of the ground of each region alone."""
    near = regions.on(lattice) if regions else None
    for window in windows(lattice):
        classes = read_classes(path, window, handles)
        if (classes == IGNORE).all():
            continue
        masked = {ALL: classes}
        if near is not None:
            masked |= {name: np.where(mask, classes, IGNORE) for name, mask in near.masks(window)}
        yield window, masked


def _add(
    layer: Layer, lattice: GeoBox, window: Window, masked: dict[str, np.ndarray], area: float, groups: Groups
) -> np.ndarray:
    """Adds a window to the sums of all groups on it; the codes of the difference."""
    given = layer.given
    look = layer.look(lattice, window, list(masked.values()))
    for (name, classes), parts in zip(masked.items(), look.parts, strict=True):
        code = differences(classes, look.fraction, given.threshold)
        groups[name][given.name].add(classes, look.fraction, code, parts, area)
    return differences(masked[ALL], look.fraction, given.threshold)


def _stem(path: pathlib.Path) -> str:
    return path.parent.name if path.name == MAP_FILE else path.stem


class _Pictures:
    """One picture per product and zone."""

    def __init__(self, ours: OurMap):
        self._ours = ours
        self._by: dict[tuple[str, str], Picture] = {}

    def add(self, product: str, lattice: GeoBox, window: Window, code: np.ndarray) -> None:
        key = product, crs_text(lattice)
        if key not in self._by:
            self._by[key] = Picture(other for _, other in self._ours.files if crs_text(other) == key[1])
        self._by[key].add(lattice, window, code)

    def files(self, given: Given) -> list[tuple[str, Callable[[pathlib.Path], None]]]:
        """Names of the pictures of a product, and what saves them."""
        mine = [(crs, picture) for (name, crs), picture in self._by.items() if name == given.name]
        found: list[tuple[str, Callable[[pathlib.Path], None]]] = []
        for crs, picture in mine:
            zone = f"_{crs.removeprefix('EPSG:')}" if len(mine) > 1 else ""
            head = f"{self._ours.title} and {given.title}"

            def save(path: pathlib.Path, picture: Picture = picture, head: str = head) -> None:
                picture.save(path, head, given.title)

            found.append((f"difference_{file_name(given.name)}{zone}.png", save))
        return found
