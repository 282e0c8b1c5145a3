"""Parses the dates of records: a year, a month, a day, a time, or an interval between two of these."""

import calendar
import datetime
import re
from collections.abc import Sequence

_MONTH = r"(\d{4})(?:-(0[1-9]|1[0-2]))?"
DATE_FORMS = "2021-06-01, 2021-06-01T03:25:41Z, 2021-06, 2021 or 2021-06-01/2021-06-30"  # for messages


def iso_moment(text: str) -> str:
    """Normalises an ISO date to `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, `YYYY-MM-DDThh:mm:ssZ`, or two of these around `/`.

    A time without a zone is UTC. The result is empty if the text is not a date or the interval ends before it begins.
    """
    first, slash, last = text.partition("/")
    if slash:
        moments = _single(first), _single(last)
        ordered = all(moments) and _bounds(moments[0])[0] <= _bounds(moments[1])[1]
        return "/".join(moments) if ordered else ""
    return _single(text)


def without_times(moment: str) -> str:
    """A date of `iso_moment` by its days: "2021-06-01/2021-06-05" for an interval of times."""
    return re.sub(r"T[\d:]+Z", "", moment)


def spanned(dates: Sequence[str | None]) -> str:
    """The interval from the first to the last of some days or times; empty if one is unknown or an interval itself."""
    if not dates or any(not date or "/" in date or len(date) < len("2021-06-01") for date in dates):
        return ""
    first, last = min(map(str, dates)), max(map(str, dates))
    return first if first == last else f"{first}/{last}"


def interval_of(text: str) -> tuple[datetime.datetime, datetime.datetime] | None:
    """The first and the last second, UTC, of a date that `iso_moment` accepts; None for any other text.

    For a time both are equal. For a single day both are its first second, as in STAC's `datetime`. A month, a year, and
    a day at either end of an interval span their whole duration.
    """
    moment = iso_moment(text)
    if not moment:
        return None
    first, slash, last = moment.partition("/")
    begins = _bounds(first)
    if slash:
        return begins[0], _bounds(last)[1]
    return begins if len(first) < len("2021-06-01") else (begins[0], begins[0])


def _single(text: str) -> str:
    text = text.strip()
    match = re.fullmatch(_MONTH, text)
    if match:
        return text if int(match[1]) else ""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        time = datetime.datetime.fromisoformat(text)
        time = time if time.tzinfo is None else time.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{time.replace(tzinfo=None, microsecond=0).isoformat()}Z"


def _bounds(moment: str) -> tuple[datetime.datetime, datetime.datetime]:
    match = re.fullmatch(_MONTH, moment)
    if match is None:
        time = datetime.datetime.fromisoformat(moment).replace(tzinfo=datetime.UTC)
        whole_day = datetime.timedelta(0) if "T" in moment else datetime.timedelta(hours=23, minutes=59, seconds=59)
        return time, time + whole_day
    year, months = int(match[1]), (int(match[2]),) * 2 if match[2] else (1, 12)
    day = calendar.monthrange(year, months[1])[1]
    return (
        datetime.datetime(year, months[0], 1, tzinfo=datetime.UTC),
        datetime.datetime(year, months[1], day, 23, 59, 59, tzinfo=datetime.UTC),
    )


def days_apart(date: str, other: str) -> int | None:
    """Days from `other` to `date`: negative if `date` is earlier, 0 if they overlap; None if either is unknown."""
    first, second = interval_of(date), interval_of(other)
    if first is None or second is None:
        return None
    if first[0] > second[1]:
        return (first[0].date() - second[1].date()).days
    return min(0, (first[1].date() - second[0].date()).days)
