"""Checks the names of sites, which name folders and pictures on any file system."""

import unicodedata
from collections.abc import Iterable

from jointseg_jax.errors import InputError

_LONGEST = 180  # bytes: file systems allow 255, and temporary files have longer names
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}


def check_names(names: Iterable[str], where: object) -> None:
    """Raises `InputError` if a name cannot name a folder, or two name the same folder on some file system.

    Args:
        names: of all sites.
        where: the file or folder that lists them, for the message.
    """
    seen: dict[str, str] = {}
    for name in names:
        reason = _fault(name)
        if reason:
            shown = name if len(name) <= 40 else f"{name[:40]}..."
            raise InputError(
                f"{where} names a site {shown!r}, which cannot be a folder's name ({reason}): use letters and digits"
            )
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            how = (
                "twice" if seen[same] == name else f"and {seen[same]!r}, which many file systems treat as the same name"
            )
            raise InputError(f"{where} lists site {name!r} {how}: give each site a name of its own")
        seen[same] = name


def _fault(name: str) -> str:
    if not name:
        return "it is empty"
    if name.startswith("."):
        return "it begins with a dot"
    if name.endswith((".", " ")):
        return "it ends with a dot or a space"
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        return "it contains a control character"
    if set(name) & set("/\\"):
        return "it contains a slash"
    if len(name.encode()) > _LONGEST:
        return f"it has {len(name.encode())} bytes, but at most {_LONGEST} are allowed"
    if name.split(".")[0].lower() in _DEVICES:
        return "Windows reserves it for a device"
    return ""
