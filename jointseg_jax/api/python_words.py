"""Messages on a scene in the terms of Python: arguments for flags, and for an array no advice on files."""

import contextlib
import os
import re
from collections.abc import Iterator

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.radiometry.offsets import UnknownOffset

_TOOL = re.compile(r" \((?:gdal_edit\.py|gdalwarp) [^)]*\)")
_BANDS = re.compile(r"give the numbers of \[[^\]]*\] with --bands=1,2,\.\.\.")
_VALUE = re.compile(r"--(\w+)=(\w[\w.-]*)")
_SWITCH = re.compile(r"--(keep-grid)\b")


@contextlib.contextmanager
def python_words(array: str | os.PathLike[str] | None) -> Iterator[None]:
    """Rewords what the checks of `jointseg predict` say.

    Args:
        array: the file that holds a user's array; None if the scene is the user's own file.

    Raises:
        InputError: whatever was raised inside, reworded.
    """
    try:
        yield
    except InputError as error:
        raise InputError(_reworded(error, array)) from error


def _reworded(error: InputError, array: str | os.PathLike[str] | None) -> str:
    said = str(error)
    if array is not None:
        unknown = next((e for e in (error, error.__cause__) if isinstance(e, UnknownOffset)), None)
        if unknown is not None:
            said = (
                f"{unknown.found}: give scale=1e-4, offset=-0.1 if they include +1000 (processing baseline 04.00 and "
                "later), or scale=1e-4, offset=0 if they do not"
            )
        said = _BANDS.sub("name its bands (bands=...)", _TOOL.sub("", said).replace(os.fspath(array), "the array"))
        said = said.replace("the file's own", "the array's")
    return _SWITCH.sub("keep_grid=True", _VALUE.sub(r"\1='\2'", said))
