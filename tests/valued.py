"""Losses as numbers, for tests that compare them with numbers."""

import functools
from collections.abc import Callable
from typing import Any

from jointseg_jax.training.means import Mean


def valued(loss: Callable[..., Any]) -> Callable[..., Any]:
    """`loss` with the values of its means."""

    @functools.wraps(loss)
    def value(*args: Any, **kwargs: Any) -> Any:
        found = loss(*args, **kwargs)
        return found.value() if isinstance(found, Mean) else tuple(m.value() for m in found)

    return value
