"""Ground and time that the scenes of a catalogue must touch."""

import dataclasses
import datetime

from jointseg_jax.sources.dates import interval_of

Box = tuple[float, float, float, float]
Period = tuple[datetime.datetime, datetime.datetime]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked of a catalogue.

    Attributes:
        bbox: west, south, east, north in degrees, west > east across 180 degrees; None for everywhere.
        period: first and last second, UTC; None for any time.
    """

    bbox: Box | None = None
    period: Period | None = None

    @property
    def datetime(self) -> str:
        """The period in the form of STAC; empty for any time."""
        if self.period is None:
            return ""
        return "/".join(time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in self.period)

    def has(self, date: str, bbox: Box | None) -> bool:
        """Whether a scene may fit; one of unknown ground or date does.

        Args:
            date: see `dates.iso_moment`; empty if unknown.
            bbox: in degrees; None if unknown.
        """
        interval = interval_of(date)
        if self.period is not None and interval is not None and not _overlap(self.period, interval):
            return False
        return self.bbox is None or bbox is None or _touch(self.bbox, bbox)


ANYTHING = Wanted()


def around(date: str, days: int) -> Period | None:
    """The period of some days before and after a date; None if the date is unknown."""
    interval = interval_of(date)
    if interval is None:
        return None
    first, last = (time.replace(hour=0, minute=0, second=0) for time in interval)
    reach = datetime.timedelta(days=days)
    try:
        return first - reach, last + reach + datetime.timedelta(days=1, seconds=-1)
    except OverflowError:
        return None


def _overlap(a: Period, b: Period) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _touch(a: Box, b: Box) -> bool:
    if a[1] > b[3] or b[1] > a[3]:
        return False
    return any(w <= y and x <= e for w, e in _spans(a) for x, y in _spans(b))


def _spans(box: Box) -> list[tuple[float, float]]:
    west, _, east, _ = box
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
