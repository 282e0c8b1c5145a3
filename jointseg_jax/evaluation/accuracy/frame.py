"""The frame: the mapped pixels of a product, their classes, and a digest that tells one product from another."""

import dataclasses
import pathlib

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.tile_record import TileRow
from jointseg_jax.mapping.records.assessment import frame_digest
from jointseg_jax.mapping.records.read_product import ProductRecord, read_product
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window

ROWS = 512  # read at once: a row of the product's blocks


@dataclasses.dataclass(frozen=True)
class Frame:
    """The mapped pixels of a product, or of a product and an earlier one as a map of change.

    Attributes:
        product: folder.
        record: of it.
        earlier: folder and rows, by tile, of the earlier product; None for a single map.
    """

    product: pathlib.Path
    record: ProductRecord
    earlier: tuple[pathlib.Path, dict[str, TileRow]] | None = None

    @property
    def tiles(self) -> tuple[TileRow, ...]:
        """The tiles, in order of their names."""
        return self.record.tiles

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the map's classes: of change, the earlier class and then the later."""
        low, high = self.record.label.classes
        if self.earlier is None:
            return low, high
        return f"stable {low}", f"{low} to {high}", f"{high} to {low}", f"stable {high}"

    @property
    def digest(self) -> str:
        """Digest of tiles and map files."""
        both = [frame_digest(self.tiles)]
        if self.earlier is not None:
            both.append(frame_digest(list(self.earlier[1].values())))
        return "+".join(both)

    def shape(self, tile: TileRow) -> tuple[int, int]:
        """Height and width of a tile in pixels of 1 m."""
        height, width = tile.lattice("impervious").shape
        return int(height), int(width)

    def read(self, tile: TileRow, window: Window, handles: Handles) -> np.ndarray:
        """Classes of a window of a tile: uint8 [height, width], 255 where nothing was mapped."""
        later = read_window(handles.get(str(self.product / tile.files["impervious"].path)), window)
        classes = np.where(later[1], later[0][..., 0], np.uint8(IGNORE))
        if self.earlier is None:
            return classes
        folder, rows = self.earlier
        path = folder / rows[tile.tile].files["impervious"].path
        before = read_window(handles.get(str(path)), window)[0][..., 0]
        known = (classes != IGNORE) & (before != IGNORE)
        return np.where(known, 2 * before + classes, np.uint8(IGNORE)).astype(np.uint8)


def open_frame(product: pathlib.Path, earlier: pathlib.Path | None = None) -> Frame:
    """Opens a product for sampling; for a map of change with the earlier product.

    Raises:
        InputError: a product cannot be read, nothing is mapped, or the products differ in tiles or label.
    """
    record = read_product(product)
    record = dataclasses.replace(record, tiles=tuple(sorted(record.tiles, key=lambda t: t.tile)))
    if not any(t.valid_m2 > 0 for t in record.tiles):
        raise InputError(f"{product} has no mapped pixel: there is nothing to sample")
    if earlier is None:
        return Frame(product, record)
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
