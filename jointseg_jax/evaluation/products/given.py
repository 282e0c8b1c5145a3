"""Products as the user names them: `worldcover:FILE`, `mine:FILE,built=1+2,unknown=0,year=2021`, or a table."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

from jointseg_jax.bounds.flags import BAND, YEAR
from jointseg_jax.bounds.number import Number, real
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.catalogue import CATALOGUE, CELL_AREA, THRESHOLD, Product

_KEYS = ("title", "built", "unknown", "full", "band", "threshold", "year")
# A year alone, or at the head of a date of eight digits.
_YEAR = re.compile(r"(?<!\d)((?:19[7-9]|20[0-4])\d)(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))?(?!\d)")
_RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".png")
_FULL, _THRESHOLD = real(1e-9, 1e12), real(0, 1)
APART = 1  # years between two maps, more than which is flagged


@dataclasses.dataclass(frozen=True)
class Given:
    """A product, its files and its year.

    Attributes:
        product: meaning of its numbers.
        files: its rasters; where they overlap the first that has data counts.
        year: of the ground shown; None if unknown.
        threshold: fraction from which a pixel counts as built.
        band: one-based number of the band, if the user gave it.
        ours: whether it is another map of ours.
    """

    product: Product
    files: tuple[pathlib.Path, ...]
    year: int | None = None
    threshold: float = THRESHOLD
    band: int | None = None
    ours: bool = False

    @property
    def name(self) -> str:
        """A short name for tables and files."""
        return self.product.name

    @property
    def title(self) -> str:
        """Title and year."""
        return self.product.title if self.year is None else f"{self.product.title} {self.year}"

    def apart(self, years: tuple[int, int] | None) -> int | None:
        """Most years between it and a map of some years; None if one of them is unknown."""
        if self.year is None or years is None:
            return None
        return max(abs(self.year - y) for y in years)


def parse(text: str, map_years: tuple[int, int] | None) -> Given:
    """Parses `NAME:PATH[,KEY=VALUE...]`; keys: title, built, unknown, full, band, threshold, year.

    Args:
        text: NAME is one of the table or, with `built` or `full`, any other; PATH is a raster or a folder of rasters.
        map_years: of the map; a product by year of change is shown at the last of them that it has.

    Raises:
        InputError: the text has another form, a file is missing, or a value is needed or impossible.
    """
    name, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"--product={text} must be NAME:FILE, such as worldcover:FILE ({_known()})")
    path, *pairs = re.split(rf",(?=(?:{'|'.join(_KEYS)})=)", rest)
    return _given(name, path, dict(p.split("=", 1) for p in pairs), map_years, f"--product={text}")


def read_list(path: pathlib.Path, map_years: tuple[int, int] | None) -> list[Given]:
    """Reads products from a CSV table with the columns name and path, and any of the keys of `parse`.

    Raises:
        InputError: see `parse`; or the table is malformed.
    """
    rows = read_table(path, ("name", "path"))
    unknown = sorted({column for row in rows for column in row} - {"name", "path", *_KEYS})
    if unknown:
        raise InputError(
            f"{path} has the columns {unknown}, which mean nothing here: columns are name, path, {_keys()}"
        )
    found = []
    for number, row in enumerate(rows, start=1):
        values = {key: row[key] for key in _KEYS if row.get(key)}
        place = path.parent / row["path"]
        found.append(_given(row["name"], str(place), values, map_years, f"product {number} of {path}"))
    return found


def _given(name: str, path: str, values: Mapping[str, str], map_years: tuple[int, int] | None, where: str) -> Given:
    product = CATALOGUE.get(name, Product(name, name))
    changes: dict[str, object] = {}
    if "title" in values:
        changes["title"] = values["title"]
    if "built" in values:
        changes |= {
            "built": _codes(values["built"], f"{where}: built"),
            "other": None,
            "first_year": None,
            "full": None,
        }
    if "unknown" in values:
        changes["unknown"] = _codes(values["unknown"], f"{where}: unknown")
    if "full" in values:
        full = values["full"]
        changes["full"] = full if full == CELL_AREA else _value(_FULL, full, f"{where}: full")
    product = dataclasses.replace(product, **changes)  # type: ignore[arg-type]
    if not product.built and product.first_year is None and product.full is None:
        lacks = product.excludes if name in CATALOGUE else f"{name} is not in the table ({_known()})"
        raise InputError(
            f"{where}: {lacks}: add its codes of built ground, as in {name}:FILE,built=1+2, or the number of a wholly "
            f"built cell, as in {name}:FILE,full=100"
        )
    files = _files(path, where)
    year = int(_value(YEAR, values["year"], f"{where}: year")) if "year" in values else _year(product, files, map_years)
    _check_year(product, year, where)
    threshold = _value(_THRESHOLD, values.get("threshold", str(THRESHOLD)), f"{where}: threshold")
    band = int(_value(BAND, values["band"], f"{where}: band")) if "band" in values else None
    return Given(product, files, year, threshold, band)


def _files(path: str, where: str) -> tuple[pathlib.Path, ...]:
    if not path:
        raise InputError(f"{where} names no file: give a raster, or a folder of rasters, behind the colon")
    place = pathlib.Path(path)
    if place.is_dir():
        files = tuple(sorted(p for p in place.rglob("*") if p.suffix.lower() in _RASTERS))
        if not files:
            raise InputError(f"{where}: {place} has no raster ({', '.join(_RASTERS)}): give the folder of its tiles")
        return files
    if not place.exists():
        raise InputError(f"{where}: {place} does not exist: correct the path")
    return (place,)


def _year(product: Product, files: Sequence[pathlib.Path], map_years: tuple[int, int] | None) -> int | None:
    """The year that all file names state, or the only one that the product has; see `parse` for a year of change."""
    if product.first_year is not None:
        last = product.years[1] if product.years else None
        return last if map_years is None else min(v for v in (map_years[1], last) if v is not None)
    own = [int(year) for file in files for year in re.findall(product.year_in_name, file.name) if product.year_in_name]
    stated = set(own) or {year for file in files for year in stated_years(file.name)}
    if product.years is not None:
        first, last = product.years
        stated = {y for y in stated if y >= first and (last is None or y <= last)}
        if first == last:
            stated = {first}
    return stated.pop() if len(stated) == 1 else None


def stated_years(name: str) -> set[int]:
    """The years from 1970 to 2049 that a file name states."""
    return {int(year) for year in _YEAR.findall(name)}


def _check_year(product: Product, year: int | None, where: str) -> None:
    if year is None or product.years is None:
        return
    first, last = product.years
    if year < first or (last is not None and year > last):
        raise InputError(
            f"{where}: year={year} is not of {product.title}, which has {first} to {'now' if last is None else last}: "
            "give the year that the file shows"
        )


def _codes(text: str, where: str) -> tuple[int, ...]:
    try:
        return tuple(int(code) for code in text.split("+"))
    except ValueError:
        raise InputError(f"{where}={text} must be whole numbers joined by +, such as 1+2") from None


def _value(kind: Number, text: str, where: str) -> float:
    try:
        return float(kind.parse(text))
    except ValueError as error:
        raise InputError(f"{where}={text} {error}") from None


def _known() -> str:
    return f"the table has {', '.join(CATALOGUE)}"


def _keys() -> str:
    return ", ".join(_KEYS)
