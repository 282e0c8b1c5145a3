"""JSON that others may have written or damaged: values of the type that is asked for, or one sentence."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.storage.files import read_json


def read_document(path: pathlib.Path, advice: str) -> Any:
    """Reads a JSON file; raises `InputError`, with what to do, where there is none or it cannot be read."""
    try:
        return read_json(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read as JSON ({error.strerror}): {advice}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): {advice}") from error


@dataclasses.dataclass(frozen=True)
class Fields:
    """A JSON object in a file; what is read of it has the type that is asked for, or is absent (as null is).

    Every method raises `InputError` where a value is of another type.

    Attributes:
        values: the object.
        what: it is, in a message.
        path: of the file.
        advice: what to do about a value of a wrong type.
    """

    values: Mapping[str, Any]
    what: str
    path: pathlib.Path
    advice: str = "correct it"

    def text(self, key: str) -> str:
        """A text; empty where it is absent."""
        value = self.values.get(key)
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        raise self._wrong(key, value, "text")

    def table(self, key: str) -> Mapping[str, Any]:
        """An object; empty where it is absent."""
        value = self.values.get(key)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise self._wrong(key, value, "an object")

    def objects(self, key: str) -> list[Mapping[str, Any]]:
        """A list of objects; empty where it is absent."""
        found = self._list(key)
        wrong = next((value for value in found if not isinstance(value, dict)), None)
        if wrong is not None or None in found:
            raise self._wrong(key, wrong, "a list of objects")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Some texts, or one that stands for a list of one; none where it is absent."""
        found = [self.values[key]] if isinstance(self.values.get(key), str) else self._list(key)
        if not all(isinstance(value, str) for value in found):
            raise self._wrong(key, found, "a list of texts")
        return tuple(found)

    def _list(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self._wrong(key, value, "a list")

    def _wrong(self, key: str, value: Any, wanted: str) -> InputError:
        return InputError(f"{self.path}: {key!r} of {self.what} is {shown(value)} where {wanted} is needed: correct it")


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
