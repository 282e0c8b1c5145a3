"""What a compiled program says to other devices."""

import collections
import math
import re
from typing import Any

_CALL = re.compile(
    r"= (?P<result>\([^()]*(?:\([^()]*\)[^()]*)*\)|\S+) (?P<name>all-reduce|all-gather|all-to-all|collective-permute|"
    r"reduce-scatter|ragged-all-to-all|collective-broadcast)(?:-start)?\("
)
_ARRAY = re.compile(r"[a-z]+\d*\[([\d,]*)\]")


def collectives(compiled: Any) -> dict[str, list[int]]:
    """Name of each kind of collective in a compiled function -> elements of each array that comes out of one."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for call in _CALL.finditer(re.sub(r"/\*.*?\*/", "", compiled.as_text())):
        for shape in _ARRAY.findall(call["result"]):
            found[call["name"]].append(math.prod(int(n) for n in shape.split(",") if n))
    return dict(found)
