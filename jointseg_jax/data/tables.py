"""Reads CSV tables in UTF-8, as users save them from spreadsheets; each fault raises a one-sentence error."""

import csv
import io
import pathlib
from collections.abc import Sequence

from jointseg_jax.errors import InputError

_SEPARATORS = (";", "\t", ",")  # of equally frequent ones the first: the comma may be a decimal one
_UTF8 = 'save it as UTF-8 ("CSV UTF-8" in a spreadsheet)'


def read_table(path: pathlib.Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads the rows of a CSV file as text; strips space around names and cells and skips blank lines.

    The separator is a comma, a semicolon or a tab, whichever is most frequent in the header.

    Args:
        path: of the file, in UTF-8 with or without a byte order mark.
        columns: required columns; others are allowed.

    Raises:
        InputError: no regular file, another encoding, a missing or repeated column, a row longer or shorter than the
            header, or an unclosed quotation mark.
    """
    rows, numbers = _cells(path, ",".join(columns))
    return _rows(path, rows, numbers, columns)


def read_cells(path: pathlib.Path, wanted: str) -> list[list[str]]:
    """Reads the cells of a CSV file whose first line may or may not be a header, as `read_table` does.

    Args:
        path: of the file.
        wanted: what the table must contain, for the message about an empty file.

    Raises:
        InputError: see `read_table`; or its lines differ in length.
    """
    rows, numbers = _cells(path, wanted)
    for cells, number in zip(rows, numbers, strict=True):
        if len(cells) != len(rows[0]):
            raise InputError(
                f"{path} has {len(cells)} cells in line {number}, but {len(rows[0])} in its first line: add or remove "
                "cells"
            )
    return rows


def _cells(path: pathlib.Path, wanted: str) -> tuple[list[list[str]], list[int]]:
    """The lines that are not blank, and their numbers."""
    text = _text(path)
    header = next((line for line in text.splitlines() if line.strip()), "")
    if not header:
        raise InputError(f"{path} is empty: its first line must be {wanted}")
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        for cells in reader:
            if any("\n" in cell or "\r" in cell for cell in cells):
                raise csv.Error("a cell continues on the next line")
            if any(cell.strip() for cell in cells):
                rows.append([cell.strip() for cell in cells])
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"{path} cannot be read as a table near line {reader.line_num} ({error}): close every quotation mark on "
            "the line where it opens"
        ) from error
    return rows, numbers


def _text(path: pathlib.Path) -> str:
    if not path.exists():
        raise InputError(f"{path} does not exist: correct the path")
    if not path.is_file():
        raise InputError(f"{path} is a folder, a pipe or a device, not a file: save the table in a file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is in UTF-16: {_UTF8}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not in UTF-8 (byte 0x{content[error.start]:02x} in line {line}; perhaps Latin-1): {_UTF8}"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path} has a NUL character in line {line}, so it is not text in UTF-8: {_UTF8}")
    return text


def _rows(
    path: pathlib.Path, rows: Sequence[Sequence[str]], numbers: Sequence[int], columns: Sequence[str]
) -> list[dict[str, str]]:
    names = rows[0]
    absent = sorted(set(columns) - set(names))
    if absent:
        raise InputError(f"{path} lacks the columns {absent}: add them; it has {list(names)}")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path} has the columns {twice} twice: remove one of each")
    for cells, number in zip(rows[1:], numbers[1:], strict=True):
        if len(cells) != len(names):
            raise InputError(
                f"{path} has {len(cells)} cells in line {number}, but {len(names)} in its header: add or remove "
                "cells, and quote text that contains the separator"
            )
    return [dict(zip(names, cells, strict=True)) for cells in rows[1:]]
