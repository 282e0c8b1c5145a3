"""PyTorch's side of the benchmark: `python -m benchmarks.peers.torch_peer`, driven through its standard streams.

One JSON object per line in, one out; all other output goes to stderr. Requests:

    {"do": "hello", "threads": n or null}                     -> versions, device
    {"do": "compare", "load": {...}, "result": FILE.npz}      -> float32 loss, outputs and gradients, written to FILE
    {"do": "open", "work": W, "variant": V, "load": {...}, "dtype": D}
                                                              -> builds, runs a first step; seconds, graphs, the value
    {"do": "outputs", "variant": V, "result": FILE.npz}       -> what "map" makes of its window, in FILE; peak bytes
    {"do": "steps", "variant": V, "count": n}                 -> wall and CPU seconds of n steps, value, steps so far
    {"do": "close", "variant": V}
    {"do": "stop"}

The work W is "train" (a step is an update, its value the loss) or "map" (a step is a window, its value the mean
probability). The answer to a request that failed has "error".
"""

import gc
import json
import os
import platform
import sys
import time
import traceback
from typing import Any

import numpy as np
import torch
import torch._dynamo.utils

from benchmarks import resident
from benchmarks.peers.torch_inference import Mapper
from benchmarks.peers.torch_step import Trainer

WORKS: dict[str, type[Trainer] | type[Mapper]] = {"train": Trainer, "map": Mapper}
_opened: dict[str, Trainer | Mapper] = {}
_held: dict[str, int] = {}  # bytes of each on the device after a first step
_before: dict[str, int] = {}  # bytes of the process before each was opened


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def hello(request: dict[str, Any]) -> dict[str, Any]:
    if request["threads"]:
        torch.set_num_threads(request["threads"])
    return {
        "library": f"torch {torch.__version__}",
        "python": platform.python_version(),
        "device": device(),
        "name": torch.cuda.get_device_name() if device() == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cudnn": torch.backends.cudnn.version() if device() == "cuda" else None,
    }


def compare(request: dict[str, Any]) -> dict[str, Any]:
    """Computes loss, outputs and gradients in true float32: no autocast, no TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    trainer = Trainer(request["load"], "eager", device(), request["dtype"])
    found: dict[str, Any] = trainer.gradients()
    np.savez(request["result"], **found)
    return {"parameters": sum(p.numel() for p in trainer.parameters)}


def open_variant(request: dict[str, Any]) -> dict[str, Any]:
    # JAX's default on a GPU: TF32 for float32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    counters = torch._dynamo.utils.counters
    counters.clear()
    variant = request["variant"]
    _before[variant] = resident.now()
    began, before = time.perf_counter(), _allocated()
    opened = WORKS[request["work"]](request["load"], variant, device(), request["dtype"])
    value = float(opened.step().mean())
    opened.synchronise()
    _opened[variant], _held[variant] = opened, _allocated() - before
    return {
        "value": value,
        "seconds": time.perf_counter() - began,
        "graphs": counters["stats"]["unique_graphs"],
        "graph_breaks": sum(counters["graph_break"].values()),
    }


def outputs(request: dict[str, Any]) -> dict[str, Any]:
    mapper = _opened[request["variant"]]
    assert isinstance(mapper, Mapper)
    found: dict[str, Any] = {}
    most = resident.peak(lambda: found.update(mapper.outputs()))
    np.savez(request["result"], **found)
    return {"resident_bytes": most - _before[request["variant"]]}


def _allocated() -> int:
    return torch.cuda.memory_allocated() if device() == "cuda" else 0


def steps(request: dict[str, Any]) -> dict[str, Any]:
    opened = _opened[request["variant"]]
    opened.synchronise()
    others = _allocated() - _held[request["variant"]]  # memory of the variants that wait
    if device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(request["count"]):
        value = opened.step()
    opened.synchronise()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = torch.cuda.max_memory_allocated() - others if device() == "cuda" else None
    return {"wall": wall, "cpu": cpu, "value": float(value.mean()), "steps": opened.steps, "peak_bytes": peak}


def close(request: dict[str, Any]) -> dict[str, Any]:
    _opened.pop(request["variant"], None)
    gc.collect()
    torch._dynamo.reset()
    if device() == "cuda":
        torch.cuda.empty_cache()
    return {}


def main() -> None:
    """Answers requests until told to stop or until the other side is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # other output must not look like an answer
    known = {
        "hello": hello, "compare": compare, "open": open_variant, "outputs": outputs, "steps": steps, "close": close,
    }  # fmt: skip
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "stop":
            break
        try:
            answer = known[request["do"]](request)
        except Exception as error:
            traceback.print_exc()
            text = str(error).strip() or type(error).__name__
            answer = {"error": f"{type(error).__name__}: {' '.join(text.split())[:400]}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
