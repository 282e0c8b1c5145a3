"""Sums that add up over tiles and sites, apart from the metrics that are functions of them."""

import dataclasses
from typing import Any, Self, SupportsFloat


@dataclasses.dataclass(frozen=True)
class Sums:
    """A frozen dataclass whose fields are sums: two of a kind add field by field.

    A field is a number, an array, other sums, a tuple of such (added place by place), or a dict of such (added key by
    key; a key of one alone keeps its value).
    """

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in dataclasses.fields(self)]
        return type(self)(*(_added(getattr(self, name), getattr(other, name)) for name in names))


def _added(a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(_added(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return {**a, **b, **{key: _added(a[key], b[key]) for key in a.keys() & b.keys()}}
    return a + b


def ratio(part: SupportsFloat, whole: SupportsFloat) -> float | None:
    """A part of a whole; None of a whole that is 0, where the figure is undefined."""
    return float(part) / float(whole) if whole else None
