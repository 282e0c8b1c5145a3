"""Reads JSON files that may be foreign or damaged."""

import pathlib
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
