"""Merges several scenes: each pixel comes from the first scene, in order of preference, with data there."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.rasters.contract import IGNORE, Contract
from jointseg_jax.rasters.lattice import Window, offset_in
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import Scene

MOST = IGNORE  # scenes per tile: their numbers are stored beside the number for "none"


@dataclasses.dataclass(frozen=True)
class MergedScene(Scene):
    """A tile's ground as a scene, which `Predictor` reads.

    A window may extend beyond the tile; neighbouring ground is read by the same rule. All modalities of a pixel come
    from one scene: the first whose first modality is valid there on any date. Without one, it is the first scene whose
    rectangle holds the pixel, so one scene alone reads as it is.

    Attributes:
        parts: the scenes, in order, on the tile's 10 m lattice up to an offset of whole pixels.
        corners: per scene, row and column of the tile's corner in its pixels.
    """

    parts: tuple[Scene, ...] = ()
    corners: tuple[tuple[int, int], ...] = ()

    @property
    def dates(self) -> int:
        """See `Scene`; that of the part with most."""
        return max(part.dates for part in self.parts)

    @property
    def own_units(self) -> bool:
        """See `Scene`; true if it holds for all parts."""
        return all(part.own_units for part in self.parts)

    def read(self, window: Window, handles: Handles) -> dict[str, dict[str, np.ndarray]]:
        """See `Scene.read`."""
        return self.read_chosen(window, handles)[0]

    def read_chosen(self, window: Window, handles: Handles) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
        """Like `read`; also returns the number of each pixel's scene: uint8 `[h, w]`, 255 for none."""
        size = (self.dates, window.height, window.width)
        result = {
            m.name: {"values": np.zeros((*size, len(m.bands)), np.float32), "valid": np.zeros(size, bool)}
            for m in self.contract.modalities
        }
        chosen = np.full(size[1:], IGNORE, np.uint8)
        for number, (scene, (row, col)) in enumerate(zip(self.parts, self.corners, strict=True)):
            wanted = chosen == IGNORE
            if not wanted.any():
                break
            own = Window(window.row + row, window.col + col, window.height, window.width)
            part = own.clip(*scene.shape)
            if not (part.height and part.width):
                continue
            primary = self.contract.primary
            first = scene.read_modality(primary, own, handles)
            taken = wanted & first["valid"].any(0)
            if not taken.any():
                continue
            for modality in self.contract.modalities:
                read = first if modality is primary else scene.read_modality(modality, own, handles)
                for key, values in read.items():
                    result[modality.name][key][: len(values), taken] = values[:, taken]
            chosen[taken] = number
        self._fill(result, chosen == IGNORE, window, handles)
        return result, chosen

    def _fill(
        self, result: dict[str, dict[str, np.ndarray]], left: np.ndarray, window: Window, handles: Handles
    ) -> None:
        """Fills in the other modalities of pixels whose first modality is invalid in every scene."""
        for scene, (row, col) in zip(self.parts, self.corners, strict=True):
            own = Window(window.row + row, window.col + col, window.height, window.width)
            part = own.clip(*scene.shape)
            inside = np.zeros_like(left)
            inside[Window(part.row - own.row, part.col - own.col, part.height, part.width).slices()] = True
            inside &= left
            if not inside.any():
                continue
            for modality in self.contract.modalities[1:]:
                for key, values in scene.read_modality(modality, own, handles).items():
                    result[modality.name][key][: len(values), inside] = values[:, inside]
            left = left & ~inside

    def valid_of(self, number: int, window: Window, handles: Handles) -> np.ndarray:
        """Where a scene has data: bool `[h, w]`."""
        (row, col), scene = self.corners[number], self.parts[number]
        own = Window(window.row + row, window.col + col, window.height, window.width)
        part = own.clip(*scene.shape)
        if not (part.height and part.width):
            return np.zeros((window.height, window.width), bool)
        return np.asarray(scene.read_modality(self.contract.primary, own, handles)["valid"].any(0))

    def preferring(self, number: int) -> "MergedScene":
        """The same ground with the given scene first."""
        order = (number, *(k for k in range(len(self.parts)) if k != number))
        return merge_scenes(self.name, self.lattice, [self.parts[k] for k in order], self.contract)


def merge_scenes(name: str, lattice: GeoBox, scenes: Sequence[Scene], contract: Contract) -> MergedScene:
    """Merges scenes over a tile's lattice.

    Args:
        name: of the tile.
        lattice: its 10 m lattice.
        scenes: at least one, in order of preference, in the tile's CRS; those after the first `MOST` are ignored.
        contract: of all scenes.

    Raises:
        InputError: a scene is offset by a fraction of a pixel.
    """
    parts = tuple(scenes[:MOST])
    corners = tuple(offset_in(lattice, s.lattice, s.name) for s in parts)
    return MergedScene(name, lattice, parts[0].layers, contract, None, parts, corners)
