"""Kinds of values of flags and config fields, with their bounds."""

import dataclasses
import math
import numbers
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from jointseg_jax.errors import InputError

_SHOWN = 60  # characters of a value in a message
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Kind:
    """A kind of values.

    Attributes:
        optional: the value may be None.
    """

    optional: bool = False

    def fault(self, value: Any) -> str:
        """What is wrong with a value, to follow `name=value` in a message; empty if the value is valid."""
        if value is None:
            return "" if self.optional else f"must be {self.wanted()}"
        return self._fault(value)

    def check(self, name: str, value: Any) -> None:
        """Raises `InputError` if a value is not of this kind.

        Args:
            name: of the flag or field, as the user writes it: `--tile`, `--config.steps`.
            value: of the flag or field.
        """
        fault = self.fault(value)
        if fault:
            raise InputError(f"{name}={shown(value)} {fault}")

    def wanted(self) -> str:
        """Describes the valid values, such as "a whole number of at least 1"."""
        raise NotImplementedError

    def _fault(self, value: Any) -> str:
        raise NotImplementedError


def shown(value: Any) -> str:
    """Formats a value for a message: short and on one line."""
    text = _CONTROL.sub("?", value if isinstance(value, str) else repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclasses.dataclass(frozen=True)
class Number(Kind):
    """A finite number between bounds.

    Attributes:
        whole: only integers are valid.
        least, most: inclusive bounds.
        above, below: exclusive bounds.
        multiple: the value must be a multiple of this; 0 for no such rule.
        also: valid values outside the range.
        infinite: infinity is valid.
        unit: name of the unit, for messages.
        optional: see `Kind`.
    """

    whole: bool = False
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    multiple: int = 0
    also: tuple[int, ...] = ()
    infinite: bool = False
    unit: str = ""
    optional: bool = False

    def wanted(self) -> str:
        """See `Kind`."""
        low = [f"of at least {_plain(self.least)}"] if self.least is not None else []
        low += [f"above {_plain(self.above)}"] if self.above is not None else []
        high = [f"of at most {_plain(self.most)}"] if self.most is not None else []
        high += [f"below {_plain(self.below)}"] if self.below is not None else []
        return self._phrase(*low, *high)

    def _phrase(self, *limits: str) -> str:
        words = ["a whole number" if self.whole else "a number", " and ".join(limits), self.unit]
        multiple = f", a multiple of {self.multiple}" if self.multiple else ""
        return " ".join(word for word in words if word) + multiple + "".join(f", or {value}" for value in self.also)

    def parse(self, text: str) -> Any:
        """Parses a number and checks its bounds.

        Raises:
            ValueError: the text is no valid number; the message is that of `fault`.
        """
        try:
            value = int(text) if self.whole else float(text)
        except (ValueError, OverflowError):
            raise ValueError(f"must be {self.wanted()}") from None
        if fault := self.fault(value):
            raise ValueError(fault)
        return value

    def _fault(self, value: Any) -> str:
        is_number = isinstance(value, numbers.Integral if self.whole else numbers.Real)
        if not is_number or isinstance(value, bool):
            return f"must be {self.wanted()}"
        if value in self.also or (self.infinite and value == math.inf):
            return ""
        # A whole number may be too long for a float.
        if not self.whole and not math.isfinite(value):
            return f"must be {self.wanted()}"
        # The message names only the broken bound.
        if self.least is not None and value < self.least:
            return f"must be {self._phrase(f'of at least {_plain(self.least)}')}"
        if self.above is not None and value <= self.above:
            return f"must be {self._phrase(f'above {_plain(self.above)}')}"
        if self.most is not None and value > self.most:
            return f"must be {self._phrase(f'of at most {_plain(self.most)}')}"
        if self.below is not None and value >= self.below:
            return f"must be {self._phrase(f'below {_plain(self.below)}')}"
        if self.multiple and value % self.multiple:
            return f"must be a multiple of {self.multiple} {self.unit}".rstrip()
        return ""


def whole(least: int, most: int | None = None, **more: Any) -> Number:
    """A whole number from `least` to `most`."""
    return Number(True, least, most, **more)


def real(least: float | None = None, most: float | None = None, **more: Any) -> Number:
    """A finite number from `least` to `most`."""
    return Number(False, least, most, **more)


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
        return f"a number from {_plain(self.least)} to {_plain(self.most)}, as text such as '2.5'"

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
        if _CONTROL.search(value):
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


def _plain(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
