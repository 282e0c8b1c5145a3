"""Cost of a network: parameters and FLOPs, counted from the traced program.

XLA's cost analysis counts the body of a scan once; the trace knows its length.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core

from jointseg_jax.models.jointseg import JointSeg, Params, run


def parameters(tree: Any) -> int:
    """Number of scalars in a tree of arrays (or shapes)."""
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def parameter_table(params: Params) -> str:
    """Parameters per part of the network, as text."""
    rows = []
    for branch, parts in params.items():
        for name, part in parts.items():
            rows.append((f"{branch}/{name}", parameters(part)))
    width = max(len(name) for name, _ in rows)
    rows.append(("total", parameters(params)))
    return "\n".join(f"{name:<{width}}  {count:>12,}" for name, count in rows)


def flops(function: Callable[..., Any], *args: Any) -> int:
    """Floating-point operations of `function(*args)` in convolutions and matrix products, two per multiply-add.

    Elementwise operations are left out, as usual. See `products` for the arguments and errors.
    """
    return sum(repeats * flops_of(equation) for equation, repeats in products(function, *args))


def forward_flops(model: JointSeg, params: Params, height: int, width: int) -> int:
    """Floating-point operations of one forward pass over one patch of height x width input pixels."""
    modalities = {
        spec.name: {
            "values": jax.ShapeDtypeStruct((1, model.dates, height, width, len(spec.mean)), "float32"),
            "valid": jax.ShapeDtypeStruct((1, model.dates, height, width), "bool"),
        }
        for spec in model.inputs
    }
    image = jax.ShapeDtypeStruct((1, 10 * height, 10 * width, len(model.image_index)), "float32")
    return flops(lambda p, m, i: run(model, p, m, i).logits, params, modalities, image)


def products(function: Callable[..., Any], *args: Any) -> Iterator[tuple[Any, int]]:
    """The convolutions and matrix products of `function(*args)`: equations of its trace, and how often each runs.

    Arguments may be `jax.ShapeDtypeStruct`s, because nothing runs.

    Raises:
        NotImplementedError: one lies in a branch or a while loop, so how often it runs is not in the trace.
    """
    return _walk(jax.make_jaxpr(function)(*args).jaxpr, 1)


def flops_of(equation: Any) -> int:
    """FLOPs of one run of a convolution or matrix product of a trace."""
    left, right = (v.aval.shape for v in equation.invars[:2])
    numbers = equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        taps = math.prod(left[d] for d in numbers[0][0])
    else:
        taps = math.prod(right[d] for d in numbers.rhs_spec[1:])  # (out, in, spatial...)
    return 2 * taps * math.prod(equation.outvars[0].aval.shape)


def _walk(jaxpr: Any, repeats: int) -> Iterator[tuple[Any, int]]:
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in ("conv_general_dilated", "dot_general"):
            yield equation, repeats
        inner = repeats * equation.params["length"] if name == "scan" else repeats
        for subprogram in _subprograms(equation.params):
            for found in _walk(subprogram, inner):
                if name in ("cond", "while"):
                    kind = found[0].primitive.name
                    raise NotImplementedError(
                        f"the trace does not show how often the loop or branch {name!r} runs its {kind}"
                    )
                yield found


def _subprograms(params: dict[str, Any]) -> Iterator[Any]:
    for name, value in params.items():
        if name in ("fwd_jaxpr_thunk", "bwd"):  # of custom_vjp: the primal program is counted
            continue
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, (core.ClosedJaxpr, core.Jaxpr)):
                yield item.jaxpr if isinstance(item, core.ClosedJaxpr) else item
