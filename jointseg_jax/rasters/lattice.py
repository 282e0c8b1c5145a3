"""Lattices (the pixel grids of rasters) and windows on them.

A lattice is an `odc.geo.geobox.GeoBox` (CRS, affine transform, shape). All rasters of a site lie on one UTM lattice.
Its origin and size are multiples of the coarsest spacing present, so one 10 m pixel is exactly 10 x 10 pixels at 1 m.
"""

import math
from typing import NamedTuple

from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError

TOLERANCE = 1e-6  # metres; float noise in the transforms that common tools write
_PARTNER_TOLERANCE = 0.01  # pixels, at any corner


class Window(NamedTuple):
    """A rectangle of pixels; it may reach beyond the raster."""

    row: int
    col: int
    height: int
    width: int

    def pad(self, pixels: int) -> "Window":
        """The window grown by `pixels` on every side."""
        return Window(self.row - pixels, self.col - pixels, self.height + 2 * pixels, self.width + 2 * pixels)

    def scale(self, factor: int) -> "Window":
        """The same ground on a lattice `factor` times finer."""
        return Window(*(factor * v for v in self))

    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of an array that starts at the lattice's origin."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def clip(self, height: int, width: int) -> "Window":
        """The part inside a raster of that size; empty sides are zero, never negative."""
        top, left = min(max(self.row, 0), height), min(max(self.col, 0), width)
        bottom = min(max(self.row + self.height, top), height)
        right = min(max(self.col + self.width, left), width)
        return Window(top, left, bottom - top, right - left)


def make_lattice(crs: str, left: float, top: float, spacing: float, height: int, width: int) -> GeoBox:
    """A north-up lattice with square pixels; `left` and `top` are its outer corner in CRS units."""
    return GeoBox((height, width), Affine(spacing, 0, left, 0, -spacing, top), crs)


def moved(lattice: GeoBox, move: tuple[float, float]) -> GeoBox:
    """The lattice from which ground is read to move content by so many pixels down and right on `lattice`."""
    return GeoBox(lattice.shape, lattice.affine * Affine.translation(-move[1], -move[0]), lattice.crs)


def crs_text(lattice: GeoBox) -> str:
    """The CRS as `EPSG:n` if it has a number, otherwise as WKT; raises `InputError` without a CRS."""
    if lattice.crs is None:
        raise InputError("a raster has no CRS: assign one (gdal_edit.py -a_srs EPSG:...)")
    return f"EPSG:{lattice.crs.epsg}" if lattice.crs.epsg else str(lattice.crs.to_wkt())


def crs_name(lattice: GeoBox) -> str:
    """A short name of the CRS, for messages."""
    return "no CRS" if lattice.crs is None else f"EPSG:{lattice.crs.epsg}" if lattice.crs.epsg else str(lattice.crs)


def refine(lattice: GeoBox, factor: int) -> GeoBox:
    """The lattice `factor` times finer over the same ground."""
    height, width = lattice.shape
    return GeoBox((height * factor, width * factor), lattice.affine * Affine.scale(1 / factor), lattice.crs)


def coarsen(lattice: GeoBox, factor: int) -> GeoBox:
    """The lattice `factor` times coarser from the same corner; its last row and column may reach beyond the input."""
    height, width = lattice.shape
    return GeoBox((-(-height // factor), -(-width // factor)), lattice.affine * Affine.scale(factor), lattice.crs)


def crop(lattice: GeoBox, window: Window) -> GeoBox:
    """The lattice of a window, which may reach outside."""
    return GeoBox(
        (window.height, window.width), lattice.affine * Affine.translation(window.col, window.row), lattice.crs
    )


def spacing_of(lattice: GeoBox) -> float:
    """Pixel size along x, in CRS units."""
    return abs(float(lattice.resolution.x))


def is_north_up(lattice: GeoBox) -> bool:
    """True if x grows to the right and y upwards, without rotation or shear."""
    a, b, _, d, e, _ = lattice.affine[:6]
    return b == 0 and d == 0 and a > 0 and e < 0


def is_placed(lattice: GeoBox) -> bool:
    """Whether its CRS converts to longitude and latitude."""
    return lattice.crs is not None and bool(lattice.crs.geographic or lattice.crs.projected)


def same_lattice(a: GeoBox, b: GeoBox) -> bool:
    """True for the same CRS and the same pixels, up to float noise."""
    close = all(abs(x - y) <= TOLERANCE for x, y in zip(a.affine[:6], b.affine[:6], strict=True))
    return bool(a.crs == b.crs and a.shape == b.shape and close)


def check_same_ground(own: GeoBox, expected: GeoBox, where: str) -> None:
    """Raises `InputError` unless the pixels of a raster lie on those of its partner.

    Args:
        own: lattice of the raster; any CRS, also in degrees.
        expected: the partner's lattice at the raster's spacing, see `coarsen`.
        where: path of the raster.
    """
    if own.crs != expected.crs:
        raise InputError(
            f"{where} is in {crs_name(own)}, but the raster it belongs to is in {crs_name(expected)}: warp both to one "
            "CRS"
        )
    height, width = own.shape
    a, b, c, d, e, f = (~expected.affine * own.affine)[:6]  # from own pixels to expected ones
    if max(abs(a - 1) * width, abs(e - 1) * height, abs(b) * height, abs(d) * width) > _PARTNER_TOLERANCE:
        x, y = abs(expected.affine.a), abs(expected.affine.e)
        raise InputError(
            f"{where} has pixels of {abs(own.affine.a):g} x {abs(own.affine.e):g}, but {x:g} x {y:g} are "
            f"expected: warp both onto one lattice (gdalwarp -tr {x:g} {y:g})"
        )
    if max(abs(c), abs(f)) > _PARTNER_TOLERANCE:
        raise InputError(
            f"{where} has its upper left corner at {own.affine.c:.10g}, {own.affine.f:.10g}, which is {f:+.2f} rows "
            f"and {c:+.2f} columns from the expected {expected.affine.c:.10g}, {expected.affine.f:.10g}: crop or warp "
            "it to the same extent"
        )
    if own.shape != expected.shape:
        raise InputError(
            f"{where} has {width} x {height} pixels, but {expected.shape[1]} x {expected.shape[0]} are expected: "
            "crop or warp it to the same extent"
        )


def offset_in(inner: GeoBox, outer: GeoBox, where: str) -> tuple[int, int]:
    """Row and column of `inner`'s corner from `outer`'s corner, in pixels of `inner`.

    Raises `InputError` if the CRS differ or the corners are not a whole number of pixels apart.
    """
    if inner.crs != outer.crs:
        raise InputError(
            f"{where} is in {crs_name(outer)}, but the raster it belongs to is in {crs_name(inner)}: warp both to one "
            "CRS"
        )
    spacing_x, spacing_y = abs(inner.affine.a), abs(inner.affine.e)
    col = (inner.affine.c - outer.affine.c) / spacing_x
    row = (outer.affine.f - inner.affine.f) / spacing_y
    if abs(row - round(row)) > 1e-3 or abs(col - round(col)) > 1e-3:
        raise InputError(
            f"{where} is shifted by a fraction of a pixel ({row - math.floor(row):.3f}, {col - math.floor(col):.3f}) "
            "against the raster it belongs to: warp both onto one lattice"
        )
    return round(row), round(col)
