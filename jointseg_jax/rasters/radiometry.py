"""Sentinel-2 radiometry: which offset the digital numbers of an item carry.

Products of processing baseline 04.00 and later store DN = 10000 * reflectance + 1000; some archives take the 1000 off
again. Skipping it, or taking it off twice, is the most common error of the field, so it is decided per item from
evidence and the decision is written down. The acquisition date is not evidence: archives were reprocessed.
"""

import dataclasses
import pathlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import numpy as np

from jointseg_jax.errors import InputError

ADDED = 1000.0  # DN that baseline >= 04.00 adds; RADIO_ADD_OFFSET of the product's XML is its negative
QUANTIFICATION = 10000.0
_FIRST_BASELINE = 4.0


@dataclasses.dataclass(frozen=True)
class OffsetDecision:
    """The offset to add to the DN (0 or -1000), and the sentence that justifies it."""

    offset: float
    evidence: str


def darkest(dn: np.ndarray) -> float | None:
    """The 0.1 percentile of valid DN (0 is nodata) over the darkest band.

    None when nothing is valid. dn: [..., bands].
    """
    floors = [np.percentile(band[band > 0], 0.1) for band in np.moveaxis(dn, -1, 0) if (band > 0).any()]
    return float(min(floors)) if floors else None


def read_product_xml(path: pathlib.Path) -> float | None:
    """RADIO_ADD_OFFSET or BOA_ADD_OFFSET of a product's metadata file (MTD_MSIL1C.xml, MTD_MSIL2A.xml), or None.

    Raises `InputError` when the file is not XML, or when its bands carry differing offsets.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path} is not readable XML ({error}): fetch the product's metadata file again") from error
    offsets = {float(e.text) for e in root.iter() if re.search(r"(RADIO|BOA)_ADD_OFFSET$", e.tag) and e.text}
    if len(offsets) > 1:
        raise InputError(
            f"{path} gives differing offsets per band {sorted(offsets)}; one offset per product is supported"
        )
    return offsets.pop() if offsets else None


def decide_offset(
    tags: Mapping[str, str],
    dark: float | None,
    where: str,
    *,
    xml_offset: float | None = None,
    file_offset: float | None = None,
) -> OffsetDecision:
    """The offset of one Sentinel-2 item.

    In order: the product's own XML (`xml_offset`, or a RADIO_ADD_OFFSET / BOA_ADD_OFFSET tag), the archive's
    `earthsearch:boa_offset_applied` flag, the processing baseline, the raster's own scale and offset. A flag that says
    no does not tell whether there was anything to take off: a baseline before 04.00 tells that there was not. Each is
    held against the darkest pixels: stored numbers that still carry the offset lie above about 1000, numbers without
    it reach below.

    Args:
        tags: metadata of the raster or of its STAC item.
        dark: result of `darkest`, None to skip the check.
        where: path, for messages.
        xml_offset: result of `read_product_xml`.
        file_offset: what the raster's GDAL scale and offset come to, in DN; None where it has neither. 0 is also what
            an offset nobody set reads as, so only another number can contradict the other evidence.

    Raises:
        InputError: no evidence, or two pieces of evidence that disagree.
    """
    lower = {k.lower(): v for k, v in tags.items()}
    tagged = next((k for k in ("radio_add_offset", "boa_add_offset") if k in lower), None)
    if xml_offset is None and tagged is not None:
        xml_offset = _number(lower[tagged], tagged.upper(), where)
    flag = next((v for k, v in lower.items() if k.endswith("boa_offset_applied")), None)
    baseline = next(
        (v for k, v in lower.items() if k.endswith("processing_baseline") or k.endswith("processing:baseline")), None
    )

    applied = flag is not None and flag.strip().lower() in ("true", "1", "yes")
    doubtful = False  # evidence that others wrote and often wrote wrongly: 0 is believed only where pixels are dark
    if xml_offset is not None:
        decision = OffsetDecision(xml_offset, f"RADIO_ADD_OFFSET is {xml_offset:g}")
    elif applied:
        decision = OffsetDecision(0.0, f"boa_offset_applied is {flag}")
        doubtful = True
    elif baseline is not None:  # archives write the flag as false on items that never had an offset, too
        number = _number(baseline.strip().lstrip("Nn"), "the processing baseline", where)
        number = number / 100 if number >= 100 else number
        said = f"processing baseline is {baseline}" + ("" if flag is None else f", boa_offset_applied is {flag}")
        decision = OffsetDecision(-ADDED if number >= _FIRST_BASELINE else 0.0, said)
    elif flag is not None:
        decision = OffsetDecision(-ADDED, f"boa_offset_applied is {flag}")
    elif file_offset is not None:
        decision = OffsetDecision(file_offset, f"the file's own offset is {file_offset:g} digital numbers")
        doubtful = True
    else:
        raise InputError(
            f"{where} says nothing about its radiometric offset: tag it RADIO_ADD_OFFSET=-1000 (DN carry +1000) or "
            "RADIO_ADD_OFFSET=0 (they do not)" + (f"; its darkest pixels are {dark:.0f}" if dark is not None else "")
        )
    if file_offset and abs(file_offset - decision.offset) > 1:
        raise InputError(
            f"{where}: {decision.evidence}, but the file's own scale and offset say {file_offset:g} digital numbers: "
            "look at the product's XML, and set or clear the file's offset to match (gdal_edit.py -offset)"
        )
    _confirm(decision, dark, where, doubtful)
    return decision


def _number(text: str, what: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{where}: {what} is {text!r}, which is no number: correct the tag") from error


def _confirm(decision: OffsetDecision, dark: float | None, where: str, doubtful: bool) -> None:
    if dark is None:
        return
    carries = decision.offset < 0
    if carries and dark < 0.8 * ADDED:  # cloud shadow and water reach reflectance 0, Sen2Cor may go a little below
        raise InputError(
            f"{where}: {decision.evidence}, so its numbers should carry +1000, but its darkest pixels are "
            f"{dark:.0f}, which would be "
            f"reflectance {(dark - ADDED) / QUANTIFICATION:.3f}; the offset was removed already: tag it "
            "RADIO_ADD_OFFSET=0"
        )
    if not carries and doubtful and dark >= ADDED:
        raise InputError(
            f"{where}: {decision.evidence}, but no pixel is darker than {dark:.0f}, as if +1000 were still there; "
            "look at the product's XML "
            "and tag it RADIO_ADD_OFFSET=-1000 or 0"
        )
