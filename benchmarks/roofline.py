"""The least time a step's convolutions and matrix products can take on a device, layer by layer.

Each layer of the traced step (forward, gradient of the input, gradient of the weights) takes at least
max(FLOPs / peak, bytes / bandwidth), where bytes are those read and written once (Williams, Waterman and Patterson
2009). Operations between layers count as free, as if fused into them.
"""

import collections
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from benchmarks.peaks import Peaks
from jointseg_jax.models import cost


@dataclasses.dataclass(frozen=True)
class Layer:
    """A kind of layer of a traced program and how often it runs; FLOPs and bytes are per run."""

    label: str
    dtype: str
    flops: int
    bytes: int
    repeats: int = 1

    def seconds(self, peaks: Peaks) -> float:
        """The least time of all its runs."""
        return self.repeats * max(self.flops / peaks.compute[self.dtype], self.bytes / peaks.bandwidth)

    def bound(self, peaks: Peaks) -> str:
        """What limits it: "compute" or "bytes"."""
        return "compute" if self.flops / peaks.compute[self.dtype] >= self.bytes / peaks.bandwidth else "bytes"


def layers(function: Callable[..., Any], *args: Any) -> list[Layer]:
    """The layers of `function(*args)`, equal ones counted together; nothing is run."""
    counts: collections.Counter[Layer] = collections.Counter()
    for equation, repeats in cost.products(function, *args):
        counts[_layer(equation)] += repeats
    return [dataclasses.replace(layer, repeats=n) for layer, n in counts.items()]


def flops(found: list[Layer]) -> int:
    """FLOPs of all runs of all layers."""
    return sum(layer.flops * layer.repeats for layer in found)


def bound(found: list[Layer], peaks: Peaks) -> dict[str, Any]:
    """The least time of all layers, the part of it limited by bytes, and the layers that take most of it."""
    total = sum(layer.seconds(peaks) for layer in found)
    by_bytes = sum(layer.seconds(peaks) for layer in found if layer.bound(peaks) == "bytes")
    largest = sorted(found, key=lambda layer: -layer.seconds(peaks))[:8]
    return {
        "seconds": total,
        "share_bound_by_bytes": by_bytes / total,
        "largest": [
            {
                "layer": layer.label,
                "runs": layer.repeats,
                "seconds": layer.seconds(peaks),
                "bound": layer.bound(peaks),
                "flops_per_byte": layer.flops / layer.bytes,
            }
            for layer in largest
        ],
    }


def _layer(equation: Any) -> Layer:
    left, right = (v.aval for v in equation.invars[:2])
    out = equation.outvars[0].aval
    moved = sum(a.size * a.dtype.itemsize for a in (left, right, out))
    flops_of_one = cost.flops_of(equation)
    if equation.primitive.name == "dot_general":
        ((contracting, _), _) = equation.params["dimension_numbers"]
        depth = math.prod(left.shape[d] for d in contracting)
        label = f"product over {depth}: {_sizes(left.shape)} and {_sizes(right.shape)}"
        return Layer(label, str(left.dtype), flops_of_one, moved)
    numbers = equation.params["dimension_numbers"]
    window = [right.shape[d] for d in numbers.rhs_spec[2:]]
    places = [out.shape[d] for d in numbers.out_spec[2:]]
    inputs, outputs = left.shape[numbers.lhs_spec[1]], out.shape[numbers.out_spec[1]]
    if min(window) > min(places):  # the kernel of a weight gradient is an image, and its output is a kernel
        channels = left.shape[numbers.lhs_spec[0]]
        label = f"{_sizes(places)} {channels}->{outputs}, weights' gradient, from {_sizes(window)}"
    else:
        label = f"{_sizes(window)} {inputs}->{outputs} on {_sizes(places)}"
    return Layer(label, str(left.dtype), flops_of_one, moved)


def _sizes(shape: Any) -> str:
    return "x".join(str(n) for n in shape)
