"""Numbers between bounds, and what all kinds of values share."""

import dataclasses
import math
import numbers
import re
from typing import Any

from jointseg_jax.errors import InputError

_SHOWN = 60  # characters of a value in a message
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # characters


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
    text = CONTROL.sub("?", value if isinstance(value, str) else repr(value))
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
    unit: str = ""
    optional: bool = False

    def wanted(self) -> str:
        """See `Kind`."""
        low = [f"of at least {plain(self.least)}"] if self.least is not None else []
        low += [f"above {plain(self.above)}"] if self.above is not None else []
        high = [f"of at most {plain(self.most)}"] if self.most is not None else []
        high += [f"below {plain(self.below)}"] if self.below is not None else []
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
        if value in self.also:
            return ""
        # A whole number may be too long for a float.
        if not self.whole and not math.isfinite(value):
            return f"must be {self.wanted()}"
        # The message names only the broken bound.
        if self.least is not None and value < self.least:
            return f"must be {self._phrase(f'of at least {plain(self.least)}')}"
        if self.above is not None and value <= self.above:
            return f"must be {self._phrase(f'above {plain(self.above)}')}"
        if self.most is not None and value > self.most:
            return f"must be {self._phrase(f'of at most {plain(self.most)}')}"
        if self.below is not None and value >= self.below:
            return f"must be {self._phrase(f'below {plain(self.below)}')}"
        if self.multiple and value % self.multiple:
            return f"must be a multiple of {self.multiple} {self.unit}".rstrip()
        return ""


def whole(least: int, most: int | None = None, **more: Any) -> Number:
    """A whole number from `least` to `most`."""
    return Number(True, least, most, **more)


def real(least: float | None = None, most: float | None = None, **more: Any) -> Number:
    """A finite number from `least` to `most`."""
    return Number(False, least, most, **more)


def plain(bound: float) -> str:
    """Formats a bound for a message."""
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
