"""Cost of a network: parameters and FLOPs, counted from the traced program.

XLA's cost analysis counts the body of a scan once; the trace knows its length.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def parameters(tree: Any) -> int:
    """Number of scalars in a tree of arrays (or shapes)."""
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def flops(function: Callable[..., Any], *args: Any) -> int:
    """Floating-point operations of `function(*args)` in convolutions and matrix products, two per multiply-add.

    Elementwise operations are left out, as usual. Arguments may be `jax.ShapeDtypeStruct`s, because nothing runs.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "conv_general_dilated":
            total += _convolution(equation)
        elif name == "dot_general":
            total += _product(equation)
        repeats = equation.params["length"] if name == "scan" else 1
        inner = [_count(sub) for sub in _subprograms(equation.params)]
        total += repeats * (max(inner, default=0) if name == "cond" else sum(inner))
    return total


def _subprograms(params: dict[str, Any]) -> list[Any]:
    found = []
    for name, value in params.items():
        if name in ("fwd_jaxpr_thunk", "bwd"):  # of custom_vjp: the primal program is counted
            continue
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, core.Jaxpr):
                found.append(item)
    return found


def _convolution(equation: Any) -> int:
    kernel, output = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
    spec = equation.params["dimension_numbers"].rhs_spec  # (out, in, spatial...)
    taps = math.prod(kernel[d] for d in spec[1:])
    return 2 * taps * math.prod(output)


def _product(equation: Any) -> int:
    (contracting, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * math.prod(left[d] for d in contracting) * math.prod(equation.outvars[0].aval.shape)
