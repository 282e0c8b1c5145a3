"""Kinds of values of config fields other than numbers, with their bounds."""

import dataclasses
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from jointseg_jax.bounds.number import CONTROL, Kind, plain, shown

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclasses.dataclass(frozen=True)
class Ratio(Kind):
    """A positive number, which may be text such as "2.5"; it is read exactly, not as a float.

    Attributes:
        least: smallest value.
        most: largest value.
    """

    least: float
    most: float

    def wanted(self) -> str:
        """See `Kind`."""
        return f"a number from {plain(self.least)} to {plain(self.most)}, as text such as '2.5'"

    def _fault(self, value: Any) -> str:
        # The pattern rejects 1e999999999, which Fraction would expand to all its digits.
        fits = _DECIMAL.fullmatch(str(value)) and self.least <= Fraction(str(value)) <= self.most
        return "" if fits else f"must be {self.wanted()}"


@dataclasses.dataclass(frozen=True)
class Choice(Kind):
    """One of a few values.

    Attributes:
        options: the values.
        optional: see `Kind`.
    """

    options: tuple[Any, ...]
    optional: bool = False

    def wanted(self) -> str:
        """See `Kind`."""
        return f"one of {', '.join(map(str, self.options))}"

    def _fault(self, value: Any) -> str:
        fits = any(value == option and type(value) is type(option) for option in self.options)
        return "" if fits else f"must be {self.wanted()}"


@dataclasses.dataclass(frozen=True)
class Switch(Kind):
    """True or False.

    Attributes:
        optional: see `Kind`.
    """

    optional: bool = False

    def wanted(self) -> str:
        """See `Kind`."""
        return "True or False"

    def _fault(self, value: Any) -> str:
        return "" if isinstance(value, bool) else "must be True or False"


@dataclasses.dataclass(frozen=True)
class Text(Kind):
    """Text without control characters.

    Attributes:
        empty: empty text is valid.
        optional: see `Kind`.
        longest: maximum number of characters.
    """

    empty: bool = False
    optional: bool = False
    longest: int = 4096

    def wanted(self) -> str:
        """See `Kind`."""
        return "text" if self.empty else "non-empty text"

    def _fault(self, value: Any) -> str:
        if not isinstance(value, str):
            return f"must be {self.wanted()}"
        if not value and not self.empty:
            return "must not be empty"
        if CONTROL.search(value):
            return "contains a control character: remove it"
        return "" if len(value) <= self.longest else f"has {len(value)} characters: use at most {self.longest}"


@dataclasses.dataclass(frozen=True)
class Name(Text):
    """Text that can be the name of a file or a folder."""

    longest: int = 100

    def wanted(self) -> str:
        """See `Kind`."""
        return "a name of letters, digits, '.', '_' and '-'"

    def _fault(self, value: Any) -> str:
        found = super()._fault(value)
        if not found and (set(value) & set("/\\") or value.startswith(".")):
            return f"must be {self.wanted()}: it names a file or a folder"
        return found


@dataclasses.dataclass(frozen=True)
class Inside(Text):
    """The name of a file, or a pattern such as `image.*`, relative to a folder."""

    def wanted(self) -> str:
        """See `Kind`."""
        return "the name of a file inside the site's folder"

    def _fault(self, value: Any) -> str:
        found = super()._fault(value)
        if not found and value and (value.startswith(("/", "~")) or re.match(r"[A-Za-z]:", value)):
            return f"is an absolute path: give {self.wanted()}"
        return found


@dataclasses.dataclass(frozen=True)
class Many(Kind):
    """A tuple of values of one kind.

    Attributes:
        of: kind of each entry.
        least, most: bounds of the number of entries.
        distinct: no entry occurs twice.
    """

    of: Kind
    least: int = 0
    most: int | None = None
    distinct: bool = False

    def wanted(self) -> str:
        """See `Kind`."""
        if self.least == self.most:
            count = f"{self.least} entries"
        else:
            count = f"at least {self.least} entr{'y' if self.least == 1 else 'ies'}" if self.least else "any length"
        return f"a tuple of {count}, each {self.of.wanted()}"

    def _fault(self, value: Any) -> str:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return f"must be {self.wanted()}"
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            return f"must be {self.wanted()}"
        for entry in value:
            if fault := self.of.fault(entry):
                return f"has the entry {shown(repr(entry))}, which {fault}"
        if self.distinct and len(set(map(repr, value))) < len(value):
            return "has the same entry twice: remove one"
        return ""


@dataclasses.dataclass(frozen=True)
class Row(Kind):
    """A tuple of a fixed number of values.

    Attributes:
        kinds: of the values, in order.
    """

    kinds: tuple[Kind, ...]

    def wanted(self) -> str:
        """See `Kind`."""
        return f"({', '.join(kind.wanted() for kind in self.kinds)})"

    def _fault(self, value: Any) -> str:
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(self.kinds):
            return f"must be {self.wanted()}"
        for entry, kind in zip(value, self.kinds, strict=True):
            if fault := kind.fault(entry):
                return f"has {shown(repr(entry))}, which {fault}"
        return ""


@dataclasses.dataclass(frozen=True)
class Either(Kind):
    """A value of one of two kinds.

    Attributes:
        usual: described in messages.
        other: accepted too.
    """

    usual: Kind
    other: Kind

    def wanted(self) -> str:
        """See `Kind`."""
        return self.usual.wanted()

    def _fault(self, value: Any) -> str:
        return "" if not self.other.fault(value) else self.usual.fault(value)
