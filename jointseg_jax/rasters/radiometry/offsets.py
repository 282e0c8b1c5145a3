"""Decides which offset the digital numbers (DN) of a Sentinel-2 item carry.

Products of processing baseline 04.00 and later store DN = 10000 * reflectance + 1000; some archives subtract the 1000.
To ignore it, or to subtract it twice, is the most common error of the field. So the offset is decided per item from
evidence, and the decision is recorded. The acquisition date is not evidence, because archives were reprocessed.

Pixels are only a check, never evidence. They are judged together, at full resolution and away from absent ground, so a
dark tail (water, shadow, Sen2Cor's floor at DN 1, resampled edges) is no contradiction.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.radiometry.product_metadata import (
    FIRST_WITH_OFFSET,
    RECORDED_OFFSET,
    ProductMetadata,
    number,
    parse_baseline,
)

ADDED = 1000.0  # DN that baseline >= 04.00 adds; RADIO_ADD_OFFSET of the product's XML is its negative
QUANTIFICATION = 10000.0
KNOWN_OFFSETS = (0.0, -ADDED)  # all offsets of Sentinel-2 products so far; add new ones here
_ROUNDED = 1.0  # tolerance in DN: a file's offset divided by its scale is rounded
FLOOR = 20  # processors write DN up to here for "too dark" (Sen2Cor 1), including compression noise

# Numbers with +1000 lie below 800 only where reflectance is below -0.02. Over water and in shadow this happens in one
# band at times, but not in half of a pixel's bands on 2 % of a scene. Of 14 real chips without the offset, 13 have 5 %
# or more such pixels, and one, overcast, none; with the offset added, none has any.
_NEGATIVE = 0.8 * ADDED
_DARK_SHARE = 0.02
# The darkest half per cent of a band lies between reflectance -0.005 and 0.16 if the scene has some water, shadow or
# dense vegetation. With +1000, that is 950..1600 in every band at once, and at most 1350 in the darkest. Without it,
# deserts, snow and cloud reach such numbers in some bands but not in all.
_LIFTED = (0.95 * ADDED, 1.35 * ADDED, 1.6 * ADDED)
_LIFTED_PERCENTILE = 0.5
_FEWEST = 200  # pixels needed for a conclusion


class UnknownOffset(InputError):
    """The offset of a scene is unknown or contradicted.

    Attributes:
        found: the sentence without its advice, which is on files.
    """

    def __init__(self, found: str, advice: str):
        super().__init__(f"{found}: {advice}")
        self.found = found


@dataclasses.dataclass(frozen=True)
class OffsetDecision:
    """The offset to add to the DN (0 or -1000), and its evidence in words."""

    offset: float
    evidence: str


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Measures of the stored numbers of real ground.

    Attributes:
        dark: share of the pixels that lie below 800 in at least half of their bands.
        floors: per band, the 0.5 percentile.
    """

    dark: float
    floors: tuple[float, ...]

    @property
    def offset(self) -> float | None:
        """The offset that they support; None if both fit."""
        low, darkest, highest = _LIFTED
        if self.dark > _DARK_SHARE:
            return 0.0
        if low <= min(self.floors) <= darkest and max(self.floors) <= highest:
            return -ADDED
        return None

    def __str__(self) -> str:
        if self.offset == 0:
            return f"{self.dark:.0%} of the pixels are below {_NEGATIVE:g} in at least half of the bands"
        return f"the darkest pixels of its bands are at {min(self.floors):.0f} to {max(self.floors):.0f}"


@dataclasses.dataclass(frozen=True)
class _Claim:
    """An offset from one piece of evidence.

    Attributes:
        offset: in DN.
        said: the evidence in words.
        source: where it was found, for messages.
        doubtful: check an offset of 0 against the pixels.
    """

    offset: float
    said: str
    source: str
    doubtful: bool = True

    def __str__(self) -> str:
        return f"{self.said} ({self.source})"


def look(dn: np.ndarray) -> Pixels | None:
    """Measures digital numbers [n, bands]; the caller excludes absent ground and its neighbourhood.

    Excludes pixels at the processor's floor. None if too few remain.
    """
    ground = dn[(dn > FLOOR).all(-1)]
    if len(ground) < _FEWEST:
        return None
    half = math.ceil(ground.shape[1] / 2)
    dark = ((ground < _NEGATIVE).sum(-1) >= half).mean()
    return Pixels(float(dark), tuple(float(f) for f in np.percentile(ground, _LIFTED_PERCENTILE, axis=0)))


def decide_offset(
    tags: Mapping[str, str],
    pixels: Pixels | None,
    where: str,
    *,
    product: ProductMetadata | None = None,
    file_offset: float | None = None,
    notes: Sequence[str] = (),
) -> OffsetDecision:
    """Decides the offset of one Sentinel-2 item.

    Evidence in order: a RADIO_ADD_OFFSET or BOA_ADD_OFFSET tag of the raster, the product's own XML, the archive's
    `earthsearch:boa_offset_applied` flag, the processing baseline, the raster's own scale and offset, and those that a
    STAC item records for its assets (`raster:bands`), which are wrong in some archives. The tag comes
    first because it describes these very numbers, which may have changed since the product was made. It overrides the
    XML only if the pixels support it. A false flag does not say whether the product had an offset; a baseline before
    04.00 says that it had none.

    Args:
        tags: metadata of the raster or of its STAC item.
        pixels: result of `look`, None without enough pixels.
        where: path, for messages.
        product: metadata of the raster's own product, see `product_metadata`.
        file_offset: the raster's GDAL offset divided by its scale, in DN; None if it has neither. An unset offset also
            reads as 0, so only another number can contradict the other evidence.
        notes: on evidence that was found but not used, for the message that there is none.

    Raises:
        InputError: no evidence, an offset that no product has, or two pieces of evidence that disagree.
    """
    lower = {k.lower(): v for k, v in tags.items()}
    tagged = _from_tag(lower, where)
    xml = None
    if product is not None and product.offset is not None:
        said = f"RADIO_ADD_OFFSET is {product.offset:g}"
        xml = _claim(product.offset, said, f"{product.path.name} beside it", where, doubtful=not product.sure)
    claim = tagged or xml or _from_archive(lower, where) or _from_file(file_offset, where) or _from_record(lower, where)
    if tagged is not None and xml is not None:
        claim = _agreed(tagged, xml, pixels, where)
    if claim is None:
        raise UnknownOffset(
            f"{where} has no information about its radiometric offset{''.join(f' ({note})' for note in notes)}",
            "put the product's own MTD_MSI*.xml beside it, or set a tag (gdal_edit.py -mo): RADIO_ADD_OFFSET=-1000 if "
            "the numbers include +1000 (processing baseline 04.00 and later), RADIO_ADD_OFFSET=0 if they do not or "
            "no longer do",
        )
    if file_offset and abs(file_offset - claim.offset) > 1:
        raise InputError(
            f"{where}: {claim}, but the file's own scale and offset give {file_offset:g} digital numbers: "
            "check the product's XML, and set or clear the file's offset to match (gdal_edit.py -offset)"
        )
    _confirm(claim, pixels, where)
    return OffsetDecision(claim.offset, claim.said)


def check_floats(values: np.ndarray, where: str) -> None:
    """Raises `InputError` if floating-point reflectance [n, bands] appears to include the +1000."""
    pixels = look(values * QUANTIFICATION)
    if pixels is not None and pixels.offset == -ADDED:
        low, high = min(pixels.floors) / QUANTIFICATION, max(pixels.floors) / QUANTIFICATION
        raise InputError(
            f"{where} has floating-point numbers, which are taken as reflectance, but the darkest pixels of its "
            f"bands are at {low:.3f} to {high:.3f}, as if the +1000 of processing baseline 04.00 had not been "
            "subtracted before the division by 10000: check how the file was made, and give the product's digital "
            "numbers or corrected reflectance"
        )


def _claim(offset: float, said: str, source: str, where: str, doubtful: bool = True) -> _Claim:
    """A claim; raises `InputError` for an offset that no product has."""
    known = next((known for known in KNOWN_OFFSETS if abs(offset - known) < _ROUNDED), None)
    if known is not None:
        return _Claim(known, said, source, doubtful)
    if abs(offset - ADDED) < _ROUNDED:
        raise InputError(
            f"{where}: {said} ({source}), but no Sentinel-2 product has that, so the sign is probably wrong: the "
            "offset is the number to add; correct it to -1000 if the numbers include +1000 (a tag by gdal_edit.py -mo)"
        )
    raise InputError(
        f"{where}: {said} ({source}), but Sentinel-2 products have only offsets of "
        f"{' or '.join(f'{known:g}' for known in KNOWN_OFFSETS)}: check the product's XML and correct it"
    )


def _from_tag(lower: Mapping[str, str], where: str) -> _Claim | None:
    found = {lower[k]: k for k in ("radio_add_offset", "boa_add_offset") if k in lower}
    values = {number(text, key.upper(), where) for text, key in found.items()}
    if not values:
        return None
    if len(values) > 1:
        raise InputError(
            f"{where} has tags with different offsets "
            f"({', '.join(f'{k.upper()}={v}' for v, k in found.items())}): keep the one of the product's XML"
        )
    value = values.pop()
    return _claim(value, f"RADIO_ADD_OFFSET is {value:g}", "the raster's tag", where)


def _from_archive(lower: Mapping[str, str], where: str) -> _Claim | None:
    flag = next((v for k, v in lower.items() if k.endswith("boa_offset_applied")), None)
    baseline = next((v for k, v in lower.items() if k.endswith(("processing_baseline", "processing:baseline"))), None)
    value = None if baseline is None else parse_baseline(baseline, where)
    flagged = "" if flag is None else f"boa_offset_applied is {flag}"
    applied = flag is not None and flag.strip().lower() in ("true", "1", "yes")
    if applied and (value is None or value >= FIRST_WITH_OFFSET):
        return _Claim(0.0, flagged, "the archive's flag")  # wrong on some items
    if value is not None:  # archives also set the flag to false on items that never had an offset
        said = f"processing baseline is {baseline}" + (f", {flagged}" if flagged else "")
        had = value >= FIRST_WITH_OFFSET
        return _Claim(-ADDED if had else 0.0, said, "the item's metadata", doubtful=False)
    return _Claim(-ADDED, flagged, "the archive's flag") if flagged else None


def _from_file(file_offset: float | None, where: str) -> _Claim | None:
    if file_offset is None:
        return None
    return _claim(file_offset, f"the file's own offset is {file_offset:g} digital numbers", "its header", where)


def _from_record(lower: Mapping[str, str], where: str) -> _Claim | None:
    text = lower.get(RECORDED_OFFSET.lower())
    if text is None:
        return None
    value = number(text, "the offset of raster:bands", where)
    return _claim(value, f"raster:bands give the offset {value:g}", "the item's assets", where)


def _agreed(tagged: _Claim, xml: _Claim, pixels: Pixels | None, where: str) -> _Claim:
    """Decides between a raster's tag and its product's XML."""
    if tagged.offset == xml.offset:
        return xml
    if pixels is not None and pixels.offset == tagged.offset:
        return dataclasses.replace(tagged, said=f"{tagged.said}, as the pixels show, not {xml.offset:g}")
    shown = "" if pixels is None else f", and the pixels do not support the tag ({pixels})"
    raise InputError(
        f"{where}: {tagged}, but {xml}{shown}: correct the tag; or, if the XML belongs to another product or the "
        "numbers were changed since, move the XML to another folder"
    )


def _confirm(claim: _Claim, pixels: Pixels | None, where: str) -> None:
    if pixels is None or pixels.offset is None or pixels.offset == claim.offset:
        return
    truth = (
        "compare some pixels with the product's own files, and set the tag RADIO_ADD_OFFSET to -1000 if the numbers "
        "include +1000, otherwise to 0 (gdal_edit.py -mo)"
    )
    if claim.offset < 0:
        raise UnknownOffset(
            f"{where}: {claim}, so its numbers should include +1000, but {pixels}, which would be reflectance below "
            f"{(_NEGATIVE - ADDED) / QUANTIFICATION:g}",
            truth,
        )
    if claim.doubtful:
        raise UnknownOffset(
            f"{where}: {claim}, so its numbers should not include +1000, but {pixels}, all just above 1000",
            f"{truth}, or put the product's own MTD_MSI*.xml beside the raster",
        )
