"""Sums that add up over tiles and sites, apart from the metrics that are functions of them."""

import dataclasses
from typing import Self


@dataclasses.dataclass(frozen=True)
class Sums:
    """A frozen dataclass whose fields are sums: two of a kind add field by field."""

    def __add__(self, other: Self) -> Self:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return type(self)(*(a + b for a, b in pairs))
