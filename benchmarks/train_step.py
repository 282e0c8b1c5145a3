"""Measures the training step: python benchmarks/train_step.py [--preset=paper] [--peer-python=.venv-torch/bin/python].

Prints a table and writes JSON. See docs/benchmarks.md.
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from jointseg_jax import cli  # noqa: E402
from jointseg_jax.bounds.number import real, whole  # noqa: E402
from jointseg_jax.flag_set import FlagSet  # noqa: E402

FLAGS = FlagSet("benchmark", __doc__)

_PRESET = FLAGS.text(
    "preset", "small", "paper or default (the networks of configs/yreb.py, for a GPU) or small (for a CPU)."
)
_DATASET = FLAGS.text("dataset", None, "A prepared dataset to read; by default a synthetic landscape is prepared.")
_BATCH = FLAGS.number("batch", None, "Patches per step, instead of the preset's.", whole(1, optional=True))
_DTYPE = FLAGS.choice("dtype", None, ["float32", "bfloat16"], "Data type to compute in, instead of the preset's.")
_ROUNDS = FLAGS.number("rounds", 9, "Turns of each contestant.", whole(2))
_TURN = FLAGS.number("turn_seconds", 1.0, "Seconds that a turn should take; a turn is at least one step.", real(0.001))
_DATA_STEPS = FLAGS.number("data_steps", 20, "Steps of the measurement that also reads batches.", whole(2))
_CORES = FLAGS.number(
    "cores", None, "CPU cores for both; 0: all. Default 1 for small, all for paper.", whole(0, optional=True)
)
_PEER = FLAGS.text("peer-python", None, "Interpreter of a venv with benchmarks/peers/requirements.txt.")
_VARIANTS = FLAGS.texts("peers", None, "eager, regions, whole; default eager,regions and on small whole as well.")
_LIMIT = FLAGS.number("peer_seconds", 300, "Seconds after which a variant that is not ready is left out.", real(1))
_EARLY = FLAGS.switch("early", False, "Measure and write JSON without peers first, then again with them.")
_OUTPUT = FLAGS.text("output", None, "JSON file; default runs/benchmarks/PRESET.json.")


def main() -> None:
    """Runs the measurement."""
    cores = sorted(os.sched_getaffinity(0))
    # On more than one core PyTorch's threads spin at every barrier while another program has a core: with one other
    # busy process it needed four times the CPU time per step. On one core, CPU time compares on a busy machine too.
    wanted_cores = _CORES.value if _CORES.value is not None else int(_PRESET.value == "small")
    if wanted_cores:
        os.sched_setaffinity(0, cores[:wanted_cores])  # before JAX starts its threads; the peer inherits it
    # The peer needs room on the same device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    jax.config.update("jax_enable_compilation_cache", False)  # compile time is that of a first start
    from benchmarks import measure, presets, report
    from benchmarks.peaks import SIZES
    from jointseg_jax.errors import InputError
    from jointseg_jax.rasters.reader import warm_drivers
    from jointseg_jax.storage.files import write_json

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    name = _PRESET.value
    config = presets.preset(name, pathlib.Path("datasets"), _DATASET.value, _BATCH.value, _DTYPE.value)
    wanted = tuple(_VARIANTS.value or (("eager", "regions", "whole") if name == "small" else ("eager", "regions")))
    unknown = set(wanted) - {"eager", "regions", "whole"}
    if unknown:
        raise InputError(f"--peers: {', '.join(sorted(unknown))} is unknown: use eager, regions, whole")
    peers = None
    if _PEER.value:
        peers = measure.Peers(_PEER.value, wanted, len(os.sched_getaffinity(0)), _LIMIT.value)
    output = pathlib.Path(_OUTPUT.value or f"runs/benchmarks/{name}.json")
    report.check_output(output)
    warm_drivers()
    presets.ready(config, say)
    sizes = SIZES["gpu" if jax.default_backend() == "gpu" else "cpu"]
    result = measure.measure(
        config,
        rounds=_ROUNDS.value,
        sizes=sizes,
        data_steps=_DATA_STEPS.value,
        peers=peers,
        say=say,
        aim=_TURN.value,
        keep=(lambda found: write_json(output, found)) if _EARLY.value else None,
    )
    write_json(output, result)
    print(report.table(result))
    print(f"JSON: {output}")


if __name__ == "__main__":
    cli.end(cli.run(FLAGS, main))
