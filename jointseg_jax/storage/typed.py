"""Records as dataclasses: the types of the fields are the format.

`parse` checks names and types. A dataclass checks what its values mean in `__post_init__`; NaN and infinity are floats.
"""

import dataclasses
import os
from typing import Any, TypeVar

import msgspec

from jointseg_jax import __version__
from jointseg_jax.storage import formats

_Record = TypeVar("_Record")

# Metadata of a field that a format got later: without a value it is not written, so that the text of an older record,
# of which digests and identities were taken, stays what it was.
LATER = {"later": True}


def plain(value: Any) -> Any:
    """Converts dataclasses, also inside lists and dicts, to JSON values; tuples stay, bytes become base64."""
    # `to_builtins` alone would leave out the defaults that `convert` left to the class.
    return msgspec.to_builtins(_complete(value), enc_hook=lambda number: number.item())  # NumPy's scalars


def _complete(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _complete(part)
            for field in dataclasses.fields(value)
            if not ((part := getattr(value, field.name)) is None and field.metadata.get("later"))
        }
    if isinstance(value, dict):
        return {key: _complete(part) for key, part in value.items()}
    return type(value)(map(_complete, value)) if type(value) in (list, tuple) else value


def parse(fields: Any, cls: type[_Record], kind: formats.Format, where: object, *, partial: bool = False) -> _Record:
    """Makes a dataclass of JSON values.

    Args:
        fields: JSON values. An integer is also a float; nothing else is converted.
        cls: the dataclass, or a type that holds some, such as `dict[str, Site]`.
        kind: of the record, for messages.
        where: path of the record, for messages.
        partial: ignore fields that the dataclass lacks.

    Raises:
        Damaged: a field is missing or of another type, or `__post_init__` raised a `ValueError`.
        Newer: a field is unknown, so a newer version of the program wrote it.
    """
    try:
        record = msgspec.convert(fields, cls)
    except msgspec.ValidationError as error:
        raise formats.damaged(where, kind, _reason(str(error))) from error
    strange = None if partial else _strange(fields, plain(record))
    if strange is not None:
        raise formats.Newer(
            f"{where} has a field {strange!r} that jointseg-jax {__version__} does not know: it was written by a newer "
            "version, upgrade jointseg-jax"
        )
    return record


def read(path: str | os.PathLike[str], cls: type[_Record], kind: formats.Format, *, partial: bool = False) -> _Record:
    """Reads a record file; see `formats.read_record` and `parse`."""
    return parse(formats.read_record(path, kind), cls, kind, path, partial=partial)


def _reason(message: str) -> str:
    """For "Expected `str`, got `int` - at `$.layers[0].path`": "layers[0].path: expected str, got int"."""
    what, _, place = message.replace("`", "").partition(" - at ")
    what = what.replace("Object missing required field", "it lacks").replace("Expected", "expected")
    place = place.replace("$.", "").replace("$", "")
    return f"{place}: {what}" if place else what


def _strange(fields: Any, known: Any) -> str | None:
    """The first key of `fields`, at any depth, that `known` lacks."""
    if isinstance(fields, dict) and isinstance(known, dict):
        found = next((key for key in fields if key not in known), None)
        pairs = [(value, known.get(key)) for key, value in fields.items()]
    elif isinstance(fields, list) and isinstance(known, list | tuple):
        found, pairs = None, list(zip(fields, known, strict=True))
    else:
        return None
    return found or next((key for pair in pairs if (key := _strange(*pair)) is not None), None)
