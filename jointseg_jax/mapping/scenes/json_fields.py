"""Type-checked access to JSON that may be foreign or damaged."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.storage.files import read_json


def read_document(path: pathlib.Path, advice: str) -> Any:
    """Reads a JSON file; raises `InputError`, with advice, if it is missing or unreadable."""
    try:
        return read_json(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read as JSON ({error.strerror}): {advice}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): {advice}") from error


@dataclasses.dataclass(frozen=True)
class Fields:
    """A JSON object in a file; each value has the requested type or is absent (null counts as absent).

    Every method raises `InputError` on a value of another type.

    Attributes:
        values: the object.
        what: its description in messages.
        path: of the file.
        advice: how to correct a value of a wrong type.
    """

    values: Mapping[str, Any]
    what: str
    path: pathlib.Path
    advice: str = "correct it"

    def text(self, key: str) -> str:
        """A text; empty if absent."""
        value = self.values.get(key)
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        raise self._wrong(key, value, "a string")

    def table(self, key: str) -> Mapping[str, Any]:
        """An object; empty if absent."""
        value = self.values.get(key)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise self._wrong(key, value, "an object")

    def objects(self, key: str) -> list[Mapping[str, Any]]:
        """A list of objects; empty if absent."""
        found = self._list(key)
        wrong = next((value for value in found if not isinstance(value, dict)), None)
        if wrong is not None or None in found:
            raise self._wrong(key, wrong, "a list of objects")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text counts as a list of one; empty if absent."""
        found = [self.values[key]] if isinstance(self.values.get(key), str) else self._list(key)
        if not all(isinstance(value, str) for value in found):
            raise self._wrong(key, found, "a list of strings")
        return tuple(found)

    def _list(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self._wrong(key, value, "a list")

    def _wrong(self, key: str, value: Any, wanted: str) -> InputError:
        return InputError(f"{self.path}: {key!r} of {self.what} is {shown(value)} but must be {wanted}: {self.advice}")


def shown(value: Any) -> str:
    """Formats a value for a message, truncated if long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
