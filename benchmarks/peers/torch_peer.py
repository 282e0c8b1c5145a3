"""PyTorch's side of the benchmark: `python -m benchmarks.peers.torch_peer`, driven through its standard streams.

One JSON object per line in, one out; all other output goes to stderr. Requests:

    {"do": "hello", "threads": n or null}                     -> versions, device
    {"do": "compare", "load": {...}, "result": FILE.npz}      -> float32 loss, outputs and gradients, written to FILE
    {"do": "open", "variant": V, "load": {...}, "dtype": D}   -> builds, runs a first step; seconds, graphs
    {"do": "steps", "variant": V, "count": n}                 -> wall and CPU seconds of n steps, the loss, steps so far
    {"do": "close", "variant": V}
    {"do": "stop"}

The answer to a request that failed has "error".
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

from benchmarks.peers.torch_step import Trainer

_trainers: dict[str, Trainer] = {}
_resident: dict[str, int] = {}  # bytes of each on the device after a first step


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
    began, before = time.perf_counter(), _allocated()
    trainer = Trainer(request["load"], request["variant"], device(), request["dtype"])
    loss = float(trainer.step())
    trainer.synchronise()
    _trainers[request["variant"]], _resident[request["variant"]] = trainer, _allocated() - before
    return {
        "loss": loss,
        "seconds": time.perf_counter() - began,
        "graphs": counters["stats"]["unique_graphs"],
        "graph_breaks": sum(counters["graph_break"].values()),
    }


def _allocated() -> int:
    return torch.cuda.memory_allocated() if device() == "cuda" else 0


def steps(request: dict[str, Any]) -> dict[str, Any]:
    trainer = _trainers[request["variant"]]
    trainer.synchronise()
    others = _allocated() - _resident[request["variant"]]  # memory of the variants that wait
    if device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(request["count"]):
        loss = trainer.step()
    trainer.synchronise()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = torch.cuda.max_memory_allocated() - others if device() == "cuda" else None
    return {"wall": wall, "cpu": cpu, "loss": float(loss), "steps": trainer.steps, "peak_bytes": peak}


def close(request: dict[str, Any]) -> dict[str, Any]:
    _trainers.pop(request["variant"], None)
    gc.collect()
    torch._dynamo.reset()
    if device() == "cuda":
        torch.cuda.empty_cache()
    return {}


def main() -> None:
    """Answers requests until told to stop or until the other side is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # other output must not look like an answer
    known = {"hello": hello, "compare": compare, "open": open_variant, "steps": steps, "close": close}
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
