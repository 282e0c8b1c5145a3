"""Maps the scenes of several years, one product per year, with the functions that `jointseg predict` calls."""

import datetime
import os
import pathlib
import re
from collections.abc import Callable, Sequence

import shapely

from jointseg_jax.change.run_monitor import KIND
from jointseg_jax.errors import InputError, Unfinished
from jointseg_jax.jobs.executors import Executor
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.sources.dates import interval_of
from jointseg_jax.sources.wanted import Period
from jointseg_jax.storage.folders import claim
from jointseg_jax.training.trained import Trained

MAPS = "maps"


def map_years(
    trained: Trained,
    source: str | os.PathLike[str],
    area: shapely.Geometry | None,
    output: str | os.PathLike[str],
    settings: Settings,
    executor: Executor,
    *,
    years: Sequence[str],
    period_of_year: str | None = None,
    skip_refused: bool = False,
    deep: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, pathlib.Path]:
    """Maps an area in several years; a year that is done is not mapped again.

    Args:
        trained: the network.
        source: of scenes of all years, see `scenes.find.find_scenes`.
        area: polygons in degrees; None for the rectangles of each year's scenes.
        output: folder of the monitor; the maps lie in `maps/YEAR`.
        settings: of the maps.
        executor: runs the tiles.
        years: as text.
        period_of_year: first and last day, such as `05-01/09-30`; one that ends before it begins ends in the next
            year. None for the whole year.
        skip_refused: continue without unusable scenes.
        deep: verify the checksums of existing files.
        say: receives the lines of the report.

    Returns:
        The folders of the maps by year.

    Raises:
        InputError: a year or a day is none, or a year has no scene of the area.
        Interrupted, StorageError, Unfinished: see `map_area`; the same call resumes.
    """
    output = pathlib.Path(output)
    periods = {year: period_of(year, period_of_year) for year in sorted(years)}
    if len(periods) < max(2, len(years)):
        raise InputError(f"--years={','.join(years)} must be two or more different years, such as 2017,2019")
    with claim(output, KIND, inputs=[]):
        pass
    folders, unfinished = {}, []
    for year, period in periods.items():
        say(f"year    {year}: scenes from {period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}")
        folders[year] = output / MAPS / year
        try:
            plan = plan_area(
                trained, source, area, folders[year], settings, period=period, skip_refused=skip_refused, say=say
            )
        except InputError as error:
            raise InputError(f"{year} cannot be mapped: {error}") from error
        try:
            map_area(trained, plan, folders[year], executor, deep=deep, say=say)
        except Unfinished as error:
            unfinished.append(f"{year}: {error}")
    if unfinished:
        raise Unfinished("; ".join(unfinished))
    return folders


def period_of(year: str, period_of_year: str | None) -> Period:
    """First and last second, UTC, of a year or of a part of it; raises `InputError` if one is malformed."""
    if not re.fullmatch(r"\d{4}", year) or interval_of(year) is None:
        raise InputError(f"--years={year} is not a year such as 2019")
    first, last = (period_of_year or "01-01/12-31").partition("/")[::2]
    begin, end = (interval_of(f"{y}-{day}") for y, day in ((year, first), (int(year) + (last < first), last)))
    if begin is None or end is None or not all(re.fullmatch(r"\d\d-\d\d", day) for day in (first, last)):
        raise InputError(f"--period_of_year={period_of_year} is not two days such as 05-01/09-30")
    return begin[0], end[0] + datetime.timedelta(days=1, seconds=-1)
