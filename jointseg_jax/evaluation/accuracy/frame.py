"""The frame: the mapped pixels of a product, their classes, and a digest that tells one product from another."""

import dataclasses
import hashlib
import pathlib

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.change.decoded import States, read_states
from jointseg_jax.mapping.product.tile_record import TileRow
from jointseg_jax.mapping.records.assessment import frame_digest
from jointseg_jax.mapping.records.read_product import ProductRecord, read_product
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.storage.files import sha256

ROWS = 512  # read at once: a row of the product's blocks


@dataclasses.dataclass(frozen=True)
class Frame:
    """The mapped pixels of a product, of a product and an earlier one as a map of change, or of decoded change.

    Attributes:
        product: folder.
        record: of it.
        earlier: folder and rows, by tile, of the earlier product; None for a single map.
        change: decoded states, whose kinds of change are the classes; None for the classes of the product.
    """

    product: pathlib.Path
    record: ProductRecord
    earlier: tuple[pathlib.Path, dict[str, TileRow]] | None = None
    change: States | None = None

    @property
    def tiles(self) -> tuple[TileRow, ...]:
        """The tiles, in order of their names."""
        return self.record.tiles

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the map's classes: of two products, the earlier class and then the later; see `Kinds.names`."""
        if self.change is not None:
            return self.change.kinds.names
        low, high = self.record.label.classes
        if self.earlier is None:
            return low, high
        return f"stable {low}", f"{low} to {high}", f"{high} to {low}", f"stable {high}"

    @property
    def omitted(self) -> range:
        """The classes around which pixels of the first class may have been omitted."""
        return range(1, 2 if self.change is None else self.change.kinds.stable)

    @property
    def divided(self) -> bool:
        """Whether the product's records lack the areas of the classes."""
        return self.earlier is not None or self.change is not None

    @property
    def digest(self) -> str:
        """Digest of tiles and map files."""
        both = [frame_digest(self.tiles)]
        if self.earlier is not None:
            both.append(frame_digest(list(self.earlier[1].values())))
        if self.change is not None:
            files = "".join(sha256(tile.path) for tile in self.change.tiles)
            both.append(hashlib.sha256(files.encode()).hexdigest())
        return "+".join(both)

    def shape(self, tile: TileRow) -> tuple[int, int]:
        """Height and width of a tile in pixels of 1 m."""
        height, width = tile.lattice("impervious").shape
        return int(height), int(width)

    def read(self, tile: TileRow, window: Window, handles: Handles) -> np.ndarray:
        """Classes of a window of a tile: uint8 [height, width], 255 where nothing was mapped."""
        if self.change is not None:
            west, _, _, north = tile.bounds
            left, top = west + window.col, north - window.row
            bounds = (left, top - window.height, left + window.width, top)
            return self.change.kinds.of(self.change.read(tile.epsg, bounds, handles))
        later = read_window(handles.get(str(self.product / tile.files["impervious"].path)), window)
        classes = np.where(later[1], later[0][..., 0], np.uint8(IGNORE))
        if self.earlier is None:
            return classes
        folder, rows = self.earlier
        path = folder / rows[tile.tile].files["impervious"].path
        before = read_window(handles.get(str(path)), window)[0][..., 0]
        known = (classes != IGNORE) & (before != IGNORE)
        return np.where(known, 2 * before + classes, np.uint8(IGNORE)).astype(np.uint8)


def open_frame(product: pathlib.Path, earlier: pathlib.Path | None = None, change: pathlib.Path | None = None) -> Frame:
    """Opens a product for sampling.

    Args:
        product: its folder.
        earlier: an earlier product of the area, for a map of change of the two.
        change: what `jointseg monitor` made of the product and others of the area, for its kinds of change.

    Raises:
        InputError: a product cannot be read, nothing is mapped, or the products differ in tiles or label.
    """
    if earlier is not None and change is not None:
        raise InputError("--earlier and --change are two maps of change: choose one")
    record = read_product(product)
    record = dataclasses.replace(record, tiles=tuple(sorted(record.tiles, key=lambda t: t.tile)))
    if not any(t.valid_m2 > 0 for t in record.tiles):
        raise InputError(f"{product} has no mapped pixel: there is nothing to sample")
    if earlier is None:
        return Frame(product, record, change=None if change is None else read_states(change))
    before = read_product(earlier)
    rows = {t.tile: t for t in before.tiles}
    for tile in record.tiles:
        if tile.tile not in rows or rows[tile.tile].bounds != tile.bounds:
            raise InputError(
                f"{earlier} has no tile {tile.tile!r} at the same place as {product}: give a product of the same area "
                "and --grid"
            )
    if before.label != record.label:
        raise InputError(f"{earlier} maps {before.label.name!r}, but {product} maps {record.label.name!r}")
    return Frame(product, record, (earlier, {t.tile: rows[t.tile] for t in record.tiles}))
