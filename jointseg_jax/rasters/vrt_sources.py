"""Lists the files that a virtual raster (VRT) names, from its XML, before GDAL opens them.

Format: https://gdal.org/en/stable/drivers/raster/vrt.html. GDAL opens every source with any of its drivers, so a VRT
may point to a web service, to raw bytes of any file, or to Python code.
"""

import pathlib
from xml.etree import ElementTree as xml

from jointseg_jax.errors import InputError

MARK = b"<VRTDataset"
_LARGEST = 128 << 20  # bytes: more than a mosaic of some hundred thousand files needs
_DATASETS = ("", "vrtwarpeddataset")
_BANDS = ("", "vrtsourcedrasterband", "vrtderivedrasterband", "vrtwarpedrasterband")
_NAMES = ("sourcefilename", "sourcedataset", "dempath")  # elements whose text GDAL opens
_OPTIONS = ("overview_level", "num_threads")  # of sources; other options change which file is opened, or how
_FLATTEN = "if you trust it, copy it into a GeoTIFF first (gdal_translate)"


def sources_of(path: pathlib.Path) -> list[str]:
    """The names of the files that a VRT refers to, without repeats, as GDAL would open them.

    Raises:
        InputError: it is not XML, is too large, declares entities, or needs more than pixels of other rasters.
        OSError: it cannot be read.
    """
    root = _parse(path)
    # GDAL resolves relative names beside the target of a symbolic link.
    folder = path.resolve().parent
    found: dict[str, None] = {}
    for element in root.iter():
        tag = _plain(element.tag)
        given = {_plain(name): value for name, value in element.attrib.items()}
        kind = given.get("subclass", "").lower()
        if (tag == "vrtdataset" and kind not in _DATASETS) or (tag == "vrtrasterband" and kind not in _BANDS):
            raise InputError(
                f"{path} is a virtual raster of the kind {given['subclass']}, which is not supported: {_FLATTEN}"
            )
        if tag in ("pixelfunctionlanguage", "pixelfunctioncode"):
            raise InputError(f"{path} computes its pixels by embedded code, which is never run: {_FLATTEN}")
        if tag == "ooi" and given.get("key", "").lower() not in _OPTIONS:
            raise InputError(
                f"{path} opens a source with the option {given.get('key')!r}, which is not supported: {_FLATTEN}"
            )
        if tag == "mdi" and given.get("key", "").lower() in ("x_dataset", "y_dataset"):
            raise InputError(f"{path} takes its geolocation from other files, which is not supported: {_FLATTEN}")
        if tag in _NAMES:
            name = (element.text or "").strip()
            if len(element) or not name:
                raise InputError(f"{path} has a source that is not a file: correct its <{tag}>")
            relative = given.get("relativetovrt", "0").strip() not in ("", "0")
            found[str(folder / name) if relative else name] = None
    return list(found)


def _parse(path: pathlib.Path) -> xml.Element:
    size = path.stat().st_size
    if size > _LARGEST:
        raise InputError(f"{path} is a virtual raster of {size >> 20} MB, which is too large: split it")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise InputError(f"{path} declares a document type, which is not allowed: remove the declaration")
        root = xml.fromstring(text)
    except (UnicodeDecodeError, xml.ParseError) as error:
        raise InputError(f"{path} cannot be read as a virtual raster ({error}): write it again") from error
    if _plain(root.tag) != "vrtdataset":
        raise InputError(f"{path} is not a virtual raster but a <{root.tag}>: give the raster itself")
    return root


def _plain(name: str) -> str:
    """The name in lower case without its namespace: GDAL ignores namespaces and case."""
    return name.rpartition("}")[2].lower()
