"""Files of one acquisition serve a site together: the first one counts, the next ones fill its gaps."""

import dataclasses
import datetime
import math
from collections.abc import Sequence

import numpy as np
from odc.geo.crs import CRS

from jointseg_jax.data.prepare.archive.candidate import Candidate, Judged
from jointseg_jax.sources.dates import interval_of

_LEAST_SEEN = 50  # per cent of a site that an acquisition must have data on
# Between tiles of one datatake at a site; the next orbit is 100 minutes later.
_ONE_PASS = datetime.timedelta(minutes=10)


@dataclasses.dataclass(frozen=True)
class Mosaic:
    """An acquisition.

    Attributes:
        parts: its files in order; each later one has data where those before it have none.
        seen: per cent of the site with data.
        cloud: per cent of that ground that is not clear; of the whole files without a classification; None if unknown.
    """

    parts: tuple[Judged, ...]
    seen: float
    cloud: float | None

    @property
    def files(self) -> tuple[Candidate, ...]:
        """The candidates of the parts."""
        return tuple(part.candidate for part in self.parts)

    def rank(self, crs: CRS | None) -> tuple[float | str, ...]:
        """As of its first part, by what all show together; ties are broken by name."""
        whole = dataclasses.replace(self.parts[0], seen=self.seen, cloud=self.cloud)
        return (*whole.rank(crs), whole.candidate.name)


def mosaics(judged: Sequence[Judged], least: float = _LEAST_SEEN) -> tuple[list[Mosaic], list[Judged]]:
    """Groups usable files by acquisition.

    Args:
        judged: candidates of a site; those with a reason are not used.
        least: per cent of the site that an acquisition must have data on.

    Returns:
        The acquisitions that can serve, best first; and the files that cannot be used or are not needed, with reasons.
    """
    found, refused = [], [one for one in judged if one.reason]
    for group in _passes([one for one in judged if not one.reason]):
        parts, spare = _fitted(group)
        refused += spare
        known, clear = _together(parts)
        reason = ""
        if not known.any():
            reason = "no data on the site"
        elif 100 * known.mean() < least:
            reason = f"data on less than {least:g} % of the site"
        elif clear is not None and not clear.any():
            reason = "no clear ground"
        if reason:
            refused += [dataclasses.replace(part, reason=reason) for part in parts]
            continue
        cloud = parts[0].candidate.cloud if clear is None else 100 * (1 - float(clear.sum()) / float(known.sum()))
        found.append(Mosaic(tuple(parts), 100 * float(known.mean()), cloud))
    return sorted(found, key=lambda one: one.rank(None)), refused


def _passes(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Files of one pass of a satellite: within ten minutes, or of the same date where no time is known."""
    groups: list[tuple[str, datetime.datetime | None, list[Judged]]] = []
    for one in sorted(judged, key=lambda j: j.candidate.date):
        date = one.candidate.date
        interval = interval_of(date)
        begin = interval[0] if interval is not None and "T" in date else None
        for text, first, group in groups:
            if text == date or (begin is not None and first is not None and begin - first <= _ONE_PASS):
                group.append(one)
                break
        else:
            groups.append((date, begin, [one]))
    return [group for *_, group in groups]


def _fitted(group: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """The files of a pass that are needed, the best first, then those of its CRS; and the others."""
    ordered = sorted(group, key=lambda one: (*one.rank(None), one.candidate.name))
    crs = ordered[0].candidate.lattice.crs
    ordered[1:] = sorted(ordered[1:], key=lambda one: (*one.rank(crs), one.candidate.name))
    parts, spare = ordered[:1], []
    seen = ordered[0].known
    for one in ordered[1:]:
        if (one.known & ~seen).any():
            parts.append(one)
            seen = seen | one.known
        else:
            spare.append(dataclasses.replace(one, reason="shows nothing that the others of its pass do not"))
    return parts, spare


def _together(parts: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray | None]:
    """Where a site has data, and where some are clear; None if a part has no classification."""
    known = np.asarray(np.stack([part.known for part in parts]).any(0))
    clear = [part.clear for part in parts if part.clear is not None]
    return known, np.asarray(np.stack(clear).any(0)) if len(clear) == len(parts) else None


def same_ground(files: Sequence[Candidate], first: Candidate) -> Candidate:
    """Of some files in the CRS of another one, that which shares most ground with it."""
    box = first.lattice.boundingbox

    def shared(file: Candidate) -> float:
        own = file.lattice.boundingbox
        width = min(own.right, box.right) - max(own.left, box.left)
        height = min(own.top, box.top) - max(own.bottom, box.bottom)
        return width * height if min(width, height) > 0 else -math.inf

    return max(files, key=shared)
