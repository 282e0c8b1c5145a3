"""Writes the table of shares by polygon: CSV, or with the polygons as GeoPackage, GeoJSON or GeoParquet."""

import csv
import io
import os
import pathlib
import re
from collections.abc import Iterable

import geopandas
import pandas as pd

from jointseg_jax.errors import InputError
from jointseg_jax.geo.vectors import first_line, read_layers, write_vectors
from jointseg_jax.storage.files import write_bytes
from jointseg_jax.storage.folders import check_file

FORMATS = (".csv", ".gpkg", ".geojson", ".parquet")
_FIGURES = {"area_km2", "mapped_km2", "share", "coverage", "pixels", "west", "south", "east", "north"}
_ROUNDED = {"share": 5, "coverage": 5, "west": 6, "south": 6, "east": 6, "north": 6}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet reads a cell that begins with one as a formula
_TEXT_MARK = "'"


def check_suffix(path: pathlib.Path) -> None:
    """Raises `InputError` if the suffix of a table names no format."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"--output={path} must end with one of {', '.join(FORMATS)}, not {path.suffix or 'no suffix'!r}"
        )


def check_output(path: pathlib.Path, inputs: Iterable[pathlib.Path]) -> None:
    """Raises `InputError` unless the table is a new file or replaces an earlier table.

    Args:
        path: of the table.
        inputs: files that are read.
    """
    check_file(path, "table", lambda path: set(_columns(path)) >= _FIGURES, inputs)
    check_suffix(path)


def _columns(path: pathlib.Path) -> list[str]:
    """Columns of a file with one table, by the format of its suffix; empty for anything else."""
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                return next(csv.reader(file), [])
        layers = read_layers(path)
        return list(map(str, layers[0].table.columns)) if len(layers) == 1 else []
    except (OSError, ValueError, csv.Error):
        return []


def write_table(path: str | os.PathLike[str], table: pd.DataFrame, polygons: geopandas.GeoDataFrame) -> None:
    """Writes a table in the format of its suffix; figures are rounded to their significant digits.

    Args:
        path: of the file; see `FORMATS`. GeoJSON is in longitude and latitude, other formats keep the polygons' CRS.
        table: of `zonal.zonal`.
        polygons: of its rows; a CSV leaves them out.

    Raises:
        InputError: the format cannot hold the polygons' own columns.
    """
    path = pathlib.Path(path)
    check_suffix(path)
    digits = _ROUNDED | {column: 6 for column in table if str(column).endswith("_km2")}
    floats = [c for c in table if c in digits and pd.api.types.is_float_dtype(table[c])]
    shown = table.assign(**{column: table[column].round(digits[column]) for column in floats})
    suffix = path.suffix.lower()
    if suffix == ".csv":
        write_bytes(path, as_csv(shown).encode())
        return
    frame = geopandas.GeoDataFrame(shown, geometry=polygons.geometry.values, crs=polygons.crs)
    try:
        if suffix == ".parquet":
            buffer = io.BytesIO()
            frame.to_parquet(buffer, index=False)
            write_bytes(path, buffer.getvalue())
        else:
            write_vectors(path, frame)
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be written with the columns of the polygons ({first_line(error)}): keep one with --name, "
            "or write a .csv"
        ) from error


def as_csv(table: pd.DataFrame) -> str:
    """Formats the table as CSV; text that a spreadsheet would read as a formula gets a leading `'`, numbers do not."""
    safe = pd.DataFrame({column: table[column].map(_safe) for column in table}, columns=table.columns)
    safe.columns = [_safe(str(column)) for column in safe.columns]
    return str(safe.to_csv(index=False, lineterminator="\n"))


def as_written(cell: str) -> str:
    """The original text of a cell of `as_csv`."""
    return cell[1:] if cell.startswith(_TEXT_MARK) and cell[1:].startswith(_FORMULA) else cell


def _safe(value: object) -> object:
    """Makes text one line that no spreadsheet reads as a formula."""
    if not isinstance(value, str):
        return value
    text = _TEXT_MARK + value if value.startswith(_FORMULA) and not _is_number(value) else value
    return re.sub(r"[\r\n\0]+", " ", text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
