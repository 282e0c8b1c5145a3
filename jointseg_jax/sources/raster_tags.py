"""The date and the cloud cover that a raster's tags or a name give."""

import pathlib
import re
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.sources.dates import iso_moment

# Dates in file names, in the forms of Sentinel-2 products and common use: 20210601, 20210601T032541, 2021-06-01.
_DATE = re.compile(r"(?<!\d)(20\d\d)(-?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?:T(\d\d)(\d\d)(\d\d))?(?!\d)")
DATE_TAG = "ACQUISITION_DATE"  # of rasters that this package writes
_DATE_TAGS = ("datetime", DATE_TAG.lower(), "acquisition_datetime", "datatake_sensing_start", "product_start_time")
_CLOUD_TAGS = ("eo:cloud_cover", "cloud_cover", "cloud_coverage_assessment", "cloudy_pixel_percentage")


def date_and_cloud(path: pathlib.Path, name: str) -> tuple[str, float | None]:
    """Reads date (see `iso_moment`) and cloud cover (per cent) from a raster's tags or its name."""
    try:
        with open_raster(path) as raster:
            tags = {k.lower(): v for k, v in raster.tags().items()}
    except InputError:  # opening reports it later
        tags = {}
    dates = [d for d in (*(moment_in(tags.get(k, "")) for k in _DATE_TAGS), iso_date(name)) if d]
    date = next((d for d in dates if len(d) >= len("2021-06-01")), dates[0] if dates else "")
    return date, next((c for k in _CLOUD_TAGS if (c := percentage(tags.get(k))) is not None), None)


def iso_date(text: str) -> str:
    """The first date in a text as `YYYY-MM-DD` or `YYYY-MM-DDThh:mm:ssZ` (UTC); empty without one."""
    match = _DATE.search(text.replace(":", ""))
    if match is None:
        return ""
    year, _, month, day, hour, minute, second = match.groups()
    return iso_moment(f"{year}-{month}-{day}" + (f"T{hour}:{minute}:{second}Z" if hour else ""))  # no 30 February


def moment_in(text: str) -> str:
    """Normalises the date of a record; empty if it is no date, so a map's records call it unknown."""
    return iso_moment(text) or iso_date(text)


def percentage(value: Any) -> float | None:
    """A number or numeric text between 0 and 100; None for anything else, such as NaN."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= 100 and not isinstance(value, bool) else None
