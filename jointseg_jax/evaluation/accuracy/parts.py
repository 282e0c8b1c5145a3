"""Estimates for the parts of a map (polygons, densities of tiles) whose strata belong to one part each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jointseg_jax.evaluation.accuracy.answers import joined
from jointseg_jax.evaluation.accuracy.design import Design, Row, Stratum
from jointseg_jax.evaluation.accuracy.outcome import Setting, outcome


def parts_of(design: Design) -> dict[str, Design]:
    """The designs of the parts by name; empty if the strata are not divided into parts, or the units are blocks.

    The draws of the strata are independent, so the strata of a part are a stratified sample of it.
    """
    if design.kind != "points":
        return {}
    named: dict[str, list[Stratum]] = {}
    for stratum in design.strata:
        part, found, _ = stratum.name.rpartition(f": {stratum.classes[0]}")
        if not found:
            return {}
        named.setdefault(part, []).append(stratum)
    return {name: _part(design, strata) for name, strata in named.items()}


def _part(design: Design, strata: Sequence[Stratum]) -> Design:
    mapped = [sum(s.size for s in strata if s.classes == (name,)) for name in design.classes]
    return dataclasses.replace(design, strata=tuple(strata), mapped=tuple(mapped), area=sum(s.size for s in strata))


def outcomes_of_parts(
    design: Design, rows: Sequence[Row], reference: Mapping[str, str], setting: Setting
) -> dict[str, dict[str, Any]]:
    """Estimates of every part, see `outcome`.

    Args:
        design: see `Design`.
        rows: of its sample.
        reference: class by id of every answered point.
        setting: of the whole map.

    Raises:
        InputError: a stratum has fewer than two answered units.
    """
    found = {}
    for name, part in parts_of(design).items():
        strata = {stratum.name for stratum in part.strata}
        own = [row for row in rows if row.stratum in strata]
        here = dataclasses.replace(setting, area=part.area, mapped=np.array(part.mapped))
        found[name] = outcome(joined(part, own, reference), here)
    return found
