"""Times the network over a window of a map: python benchmarks/inference.py [--peer-python=.venv-torch/bin/python].

Prints a table and writes JSON. See docs/benchmarks.md.
"""

import os
import pathlib
import sys
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from jointseg_jax import cli  # noqa: E402
from jointseg_jax.bounds import flags as bounds  # noqa: E402
from jointseg_jax.bounds.number import real, whole  # noqa: E402
from jointseg_jax.flag_set import FlagSet  # noqa: E402

FLAGS = FlagSet("inference", __doc__)
VARIANTS = ("eager", "regions", "whole", "frozen")

_PRESET = FLAGS.text("preset", "small", "small, default or paper: see benchmarks/presets.py.")
_DATASET = FLAGS.text("dataset", None, "A prepared dataset to read; by default a synthetic landscape is prepared.")
_DTYPE = FLAGS.choice("dtype", None, ["float32", "bfloat16"], "Data type to compute in, instead of the preset's.")
_TILE = FLAGS.number("tile", 64, "Side of the window in input pixels, without its halo.", bounds.TILE)
_HALO = FLAGS.number("halo", 16, "Input pixels read around it.", bounds.HALO)
_ROUNDS = FLAGS.number("rounds", 9, "Turns of each contestant.", whole(2))
_TURN = FLAGS.number("turn_seconds", 1.0, "Seconds a turn should take; a turn is at least one window.", real(0.001))
_CORES = FLAGS.number("cores", 1, "CPU cores for both; 0: all.", whole(0))
_PEER = FLAGS.text("peer-python", None, "Interpreter of a venv with benchmarks/peers/requirements.txt.")
_VARIANTS = FLAGS.texts("peers", list(VARIANTS), "Some of eager, regions, whole, frozen.")
_LIMIT = FLAGS.number("peer_seconds", 300, "Seconds after which a variant that is not ready is left out.", real(1))
_OUTPUT = FLAGS.text("output", None, "JSON file; default runs/benchmarks/inference-PRESET.json.")


def main() -> None:
    """Runs the measurement."""
    if _CORES.value:  # before JAX starts its threads; the peers inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: _CORES.value])
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the peers need room on the same device
    import jax

    jax.config.update("jax_enable_compilation_cache", False)  # compile time is that of a first start
    from benchmarks import presets, windows
    from benchmarks.peers.driver import Peers
    from benchmarks.report import check_output
    from jointseg_jax.errors import InputError
    from jointseg_jax.rasters.reader import warm_drivers
    from jointseg_jax.storage.files import write_json

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    unknown = set(_VARIANTS.value) - set(VARIANTS)
    if unknown:
        raise InputError(f"--peers: {', '.join(sorted(unknown))} is unknown: use some of {', '.join(VARIANTS)}")
    config = presets.preset(_PRESET.value, pathlib.Path("datasets"), _DATASET.value, dtype=_DTYPE.value)
    peers = None
    if _PEER.value:
        peers = Peers(_PEER.value, tuple(_VARIANTS.value), len(os.sched_getaffinity(0)), _LIMIT.value)
    output = pathlib.Path(_OUTPUT.value or f"runs/benchmarks/inference-{_PRESET.value}.json")
    check_output(output)
    warm_drivers()
    presets.ready(config, say)
    result = windows.measure(
        config, tile=_TILE.value, halo=_HALO.value, rounds=_ROUNDS.value, peers=peers, say=say, aim=_TURN.value
    )
    write_json(output, result)
    print(table(result))
    print(f"JSON: {output}")


def table(result: dict[str, Any]) -> str:
    """The result of `windows.measure` as text."""
    config, window, machine, ours, peers = (result[k] for k in ("config", "window", "machine", "ours", "peers"))
    load, compiling = result["load_average"], ours["seconds_to_compile"]
    seconds = ours["window_cpu_seconds"]["median"]
    lines = [
        f"{config['name']}: {result['parameters']:,} parameters, blocks {' + '.join(map(str, config['blocks']))}, "
        f"{config['dtype']}; a window of {window['tile']} x {window['tile']} input pixels, halo {window['halo']}",
        f"{machine['began']} UTC, {machine['device']}, {machine['processor']}, {machine['cores']} cores, "
        f"load {load['before'][0]:.1f} before and {load['after'][0]:.1f} after, jax {machine['jax']}",
        f"{ours['flops'] / 1e9:,.1f} GFLOP per window, ours {ours['flops'] / seconds / 1e9:,.1f} GFLOP/s in CPU time; "
        f"tracing {compiling['trace']:.1f} s, compiling {compiling['compile']:.1f} s, no cache; the compiled program "
        f"needs {ours['memory']['total'] / 2**20:,.0f} MiB",
        "",
        f"{'':<16}{'CPU ms per window (quartiles)':<32}{'CPU time, jax = 1':<24}{'time, jax = 1':<24}   MiB  ready s",
        _line("jax", ours, None, sum(compiling.values())),
    ]
    for name, row in peers.get("variants", {}).items():
        if "window_seconds" in row:
            lines.append(_line(f"torch {name}", row, row["times_our_seconds"], row["first"]["seconds"]))
        else:
            lines.append(f"{'torch ' + name:<16}{row.get('failed', 'not timed')}")
    lines.append(f"{result['rounds']} turns of each, interleaved; MiB: resident memory added, at its peak")
    compared = [row["compared"] for row in peers.get("variants", {}).values() if "compared" in row]
    if not peers["asked"]:
        lines.append("peers: none (give --peer-python=PYTHON of a venv with benchmarks/peers/requirements.txt)")
    elif compared:
        worst = max(c["apart"] for c in compared)
        most = max(c["largest_of_probability"] for c in compared)
        lines.append(
            f"peer: {peers['hello']['library']} on {peers['hello']['device']}, {peers['hello']['threads']} threads; "
            f"relative differences at most {worst:.1e} ({compared[0]['tolerance']:.0e} allowed), of the probability at "
            f"most {most:.1e}"
        )
    return "\n".join(lines)


def _line(name: str, row: dict[str, Any], ratios: dict[str, Any] | None, ready: float) -> str:
    s = row["window_cpu_seconds"]
    text = f"{s['median'] * 1e3:,.0f} ({s['q1'] * 1e3:,.0f} to {s['q3'] * 1e3:,.0f})"
    cpu, wall = (_spread(ratios[clock]) if ratios else "1" for clock in ("cpu", "wall"))
    return f"{name:<16}{text:<32}{cpu:<24}{wall:<24}{row['resident_bytes'] / 2**20:>6,.0f}  {ready:.1f}"


def _spread(values: dict[str, float]) -> str:
    return f"{values['median']:.2f} ({values['q1']:.2f} to {values['q3']:.2f})"


if __name__ == "__main__":
    cli.end(cli.run(FLAGS, main))
