"""Finds bands by the names that files give them.

A name gives the band's number (`B04`, `B4`), words (`red`, `Red edge 1`, `NIR narrow`), or both (`R (B4)`). The words
are those of Sen2Cor, Google Earth Engine, FORCE, sits, SNAP and STAC's common names.
"""

import re
from collections.abc import Mapping, Sequence

# Words, without spaces and signs, and the bands they may stand for. A word of several bands is ambiguous.
_WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("COASTAL", "COASTALAEROSOL", "AEROSOL", "ULTRABLUE", "COASTALBLUE"), ("B01",)),
    "BLUE": ("B02",),
    "GREEN": ("B03",),
    "RED": ("B04",),
    **dict.fromkeys(("REDEDGE1", "REDEDGE01", "REDEDGE071", "REDEDGE705", "RE1"), ("B05",)),
    **dict.fromkeys(("REDEDGE2", "REDEDGE02", "REDEDGE075", "REDEDGE740", "RE2"), ("B06",)),
    **dict.fromkeys(("REDEDGE3", "REDEDGE03", "REDEDGE078", "REDEDGE783", "RE3"), ("B07",)),
    **dict.fromkeys(("BROADNIR", "NIRBROAD", "NIRWIDE", "WIDENIR"), ("B08",)),
    **dict.fromkeys(("NIRNARROW", "NARROWNIR", "NNIR", "NIR08", "NIR8A", "REDEDGE4", "REDEDGE865", "RE4"), ("B8A",)),
    **dict.fromkeys(("NIR09", "WATERVAPOUR", "WATERVAPOR"), ("B09",)),
    "CIRRUS": ("B10",),
    **dict.fromkeys(("SWIR1", "SWIR01", "SWIR16", "SWIR1610"), ("B11",)),
    **dict.fromkeys(("SWIR2", "SWIR02", "SWIR22", "SWIR2190"), ("B12",)),
    **dict.fromkeys(("NIR", "NEARINFRARED", "INFRARED"), ("B08", "B8A")),
    "REDEDGE": ("B05", "B06", "B07", "B8A"),
    "SWIR": ("B10", "B11", "B12"),
}
_BROAD_NIR = ("BROADNIR", "NIRBROAD", "NIRWIDE", "WIDENIR")
_LETTERS = {"R": "B04", "G": "B03", "B": "B02"}  # only as a whole name
_NUMBERS = frozenset([*(f"B{n:02d}" for n in range(1, 13)), "B8A"])
_LONGEST = 4  # words of one name
# A name with one of these words is a layer derived from a band, not the band.
_DERIVED = frozenset(("MASK", "QA", "QUALITY", "FLAG", "FLAGS", "ERROR", "UNCERTAINTY", "STD", "STDDEV", "COUNT"))


def band_of(text: str, others: Sequence[str] = ()) -> str | None:
    """The Sentinel-2 band that a name stands for, such as `B8A` for `NIR narrow`; None if ambiguous or unknown.

    Args:
        text: the name.
        others: the other names in the file. FORCE calls B08 `BROADNIR` and B8A `NIR`; elsewhere `NIR` is B08.
    """
    bands = possible_bands(text)
    if bands == _WORDS["NIR"]:
        return "B8A" if any(set(_BROAD_NIR) & _named(words_of(o)) for o in others) else "B08"
    return bands[0] if len(bands) == 1 else None


def possible_bands(text: str) -> tuple[str, ...]:
    """The Sentinel-2 bands that a name may stand for: several for `red edge`, none for an unknown name."""
    words = words_of(text)
    if len(words) == 1 and words[0] in _LETTERS:
        return (_LETTERS[words[0]],)
    if _DERIVED & set(words):
        return ()
    numbers = {n for w in words if (n := _number(w)) is not None}
    named = _named(words)
    if len(numbers) > 1 or len(named) > 1:
        return ()
    if numbers:
        (number,) = numbers
        # `b3 red` is the third band of a file, not B03.
        return (number,) if all(number in _WORDS[name] for name in named) else ()
    return _WORDS[named.pop()] if named else ()


def match_names(names: Sequence[str], band: str, *, numbers: bool = True) -> list[int]:
    """Positions of the names that stand for a band: by exact name, then by number, then by words.

    Args:
        names: of a file's bands, empty for unnamed bands.
        band: to find.
        numbers: whether `B4` stands for B04. In images of other cameras it may be the fourth band.
    """
    wanted = band.strip().upper()
    exact = [i for i, name in enumerate(names) if name.strip().upper() == wanted]
    if exact:
        return exact
    meant = band_of(band)
    if meant is None:
        return [i for i, name in enumerate(names) if wanted in words_of(name) and not _DERIVED & set(words_of(name))]
    found = [i for i, name in enumerate(names) if band_of(name, names) == meant]
    numbered = [i for i in found if any(_number(w) for w in words_of(names[i]))]
    if not numbers:
        return [i for i in found if not all(_number(w) for w in words_of(names[i]))]
    # A plain band name takes precedence over one with other words: `red` before `red-jp2`.
    for group in (numbered, [i for i in found if i not in numbered]):
        alone = [i for i in group if is_name(names[i])]
        if alone or group:
            return alone or group
    return []


def rgb_order(names: Sequence[str]) -> tuple[int, int, int]:
    """Positions of red, green and blue among band names; the first three if the names do not identify them."""
    red, green, blue = (match_names(names, band) for band in ("B04", "B03", "B02"))
    if len(red) == len(green) == len(blue) == 1:
        return red[0], green[0], blue[0]
    return 0, 1, 2


def is_name(text: str) -> bool:
    """Whether a text is only a band name, apart from a pixel size."""
    words = [w for w in words_of(text) if not re.fullmatch(r"\d{2}M", w)]
    return "".join(words) in _WORDS or (len(words) == 1 and (words[0] in _LETTERS or _number(words[0]) is not None))


def resolution_of(text: str) -> float | None:
    """The pixel size in a name such as `B02_10m`, metres; None without one."""
    sizes = [w[:-1] for w in words_of(text) if re.fullmatch(r"\d{2}M", w)]
    return float(sizes[0]) if len(sizes) == 1 else None


def at_spacing(matches: Sequence[int], names: Sequence[str], spacing: float) -> list[int]:
    """Of several names for one band, those with the given pixel size (`B05_20m`); if none, those without a size."""
    said = {i: resolution_of(names[i]) for i in matches}
    return [i for i in matches if said[i] == spacing] or [i for i in matches if said[i] is None] or list(matches)


def words_of(text: str) -> list[str]:
    """The words of a name, upper case."""
    return [w for w in re.split(r"[^A-Z0-9]+", text.upper()) if w]


def _number(word: str) -> str | None:
    """`B4`, `B04` -> `B04`; None for any other word."""
    match = re.fullmatch(r"B0?(\d{1,2})(A?)", word)
    if match is None:
        return None
    number = f"B{match[1]}A" if match[2] else f"B{int(match[1]):02d}"
    return number if number in _NUMBERS else None


def _named(words: Sequence[str]) -> set[str]:
    """The keys of `_WORDS` among some words, longest match first: `red edge 1` is not `red`."""
    found, at = set(), 0
    while at < len(words):
        for count in range(min(_LONGEST, len(words) - at), 0, -1):
            name = "".join(words[at : at + count])
            if name in _WORDS:
                found.add(name)
                at += count
                break
        else:
            at += 1
    return found
