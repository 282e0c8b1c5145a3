"""A measurement as a readable table and as a file."""

import pathlib
from typing import Any

from jointseg_jax.storage.files import read_json
from jointseg_jax.storage.folders import check_file


def check_output(path: pathlib.Path) -> None:
    """Raises `InputError` unless the path is new or holds an earlier report."""
    check_file(path, "report", _is_report)


def _is_report(path: pathlib.Path) -> bool:
    try:
        return "machine" in dict(read_json(path))
    except (OSError, TypeError, ValueError):
        return False


def table(result: dict[str, Any]) -> str:
    """The result of `measure` as text."""
    config, machine, ours, data = (result[k] for k in ("config", "machine", "ours", "data"))
    load = result["load_average"]
    lines = [
        f"{config['name']}: {result['parameters']:,} parameters, blocks {' + '.join(map(str, config['blocks']))}, "
        f"batch {config['batch']} of {config['patch'][0]} x {config['patch'][1]}, {config['dtype']}"
        + (", remat" if config["remat"] != "none" else ""),
        f"{machine['began']} UTC, {machine['device']}, {machine['processor']}, {machine['cores']} cores, "
        f"nice {machine['nice']}, load {load['before'][0]:.1f} before and {load['after'][0]:.1f} after, "
        f"jax {machine['jax']}",
        "",
        "measured peaks (best of all rounds)",
    ]
    peaks = result["peaks"]
    for dtype, rate in peaks["matmul"].items():
        lines.append(
            f"  {dtype:<10} matmul {_rate(rate)}, best of matmul and convolutions {_rate(peaks['compute'][dtype])}"
        )
    lines += [f"  copying    {peaks['bandwidth'] / 1e9:.1f} GB/s", ""]
    lines += _rows(result)
    if machine["platform"] == "cpu" and machine["cores"] > 1 and load["before"][0] > 0.5 and result["peers"]["asked"]:
        lines.append(
            "LOADED at the start: PyTorch's threads spin on several cores, so ratios mean nothing; use --cores=1"
        )
    roof = ours["roofline"]
    shares = ", ".join(f"{share:.0%} of the {dtype} matmul" for dtype, share in ours["share_of_matmul_peak"].items())
    lines += [
        "",
        f"jax: {ours['flops_per_step'] / 1e9:,.1f} GFLOP per step, {_rate(ours['flops_per_second'])}: {shares}; "
        f"{roof['share']:.0%} of the per-layer roofline",
        f"  roofline {_ms(roof['seconds'])}, {roof['share_bound_by_bytes']:.0%} of it in layers limited by memory "
        "bandwidth"
        + (
            f"; {ours['roofline_with_remat']:.0%} with the operations that remat repeats"
            if config["remat"] != "none"
            else ""
        )
        + "; most of it:",
    ]
    for layer in roof["largest"][:5]:
        share = layer["seconds"] / roof["seconds"]
        lines.append(f"    {share:>4.0%}  {layer['layer']} ({layer['runs']} times, limited by {layer['bound']})")
    memory, compiling = ours["memory"], ours["seconds_to_compile"]
    peak = memory["device_peak"]
    lines += [
        f"  compiled memory {memory['total'] / 2**20:,.0f} MiB (temporary {memory['temp'] / 2**20:,.0f})"
        + (f", peak in use {peak / 2**20:,.0f} MiB" if peak else ""),
        f"  tracing {compiling['trace']:.1f} s, compiling {compiling['compile']:.1f} s, no cache",
        f"data: {data['wait_share']:.1%} of the time waiting ({data['steps']} steps, {data['threads']} threads, "
        f"{data['patches_per_second']:.2f} patches/s), only reading {data['patches_per_second_reading_alone']:.0f} "
        f"patches/s; {data['dataset']}, {data['training_patches']} patches",
    ]
    return "\n".join([*lines, *_peer_notes(result["peers"])])


def _rows(result: dict[str, Any]) -> list[str]:
    head = (
        f"{'':<16}{'ms per step, median (quartiles)':<36}{'patches/s':>10}  {'time, jax = 1':<22}{'CPU time, jax = 1'}"
    )
    ours = result["ours"]
    rows = [head, _row("jax", ours) + "  1"]
    for name, row in result["peers"].get("variants", {}).items():
        if "step_seconds" in row:
            ratios = row["times_our_seconds"]
            rows.append(_row(f"torch {name}", row) + f"  {_spread(ratios['wall']):<22}{_spread(ratios['cpu'])}")
        else:
            rows.append(f"{'torch ' + name:<16}{row.get('failed', 'not timed')}")
    return [*rows, f"{result['rounds']} turns of each, interleaved"]


def _row(name: str, row: dict[str, Any]) -> str:
    s = row["step_seconds"]
    text = f"{s['median'] * 1e3:,.1f} ({s['q1'] * 1e3:,.1f} to {s['q3'] * 1e3:,.1f})"
    return f"{name:<16}{text:<36}{row['patches_per_second']:>10.2f}"


def _peer_notes(peers: dict[str, Any]) -> list[str]:
    if not peers["asked"]:
        return ["peers: none (give --peer-python=PYTHON of a venv with benchmarks/peers/requirements.txt)"]
    if "failed" in peers:
        return [f"peers: {peers['failed']}"]
    hello, found = peers["hello"], peers["compared"]
    apart = ", ".join(f"{kind} {row['apart']:.1e} ({row['tolerance']:.0e} allowed)" for kind, row in found.items())
    notes = [
        f"peer: {hello['library']} on {hello['device']}, {hello['threads']} threads; relative differences in float32: "
        f"{apart}"
    ]
    for name, row in peers["variants"].items():
        if "first" in row:
            peak = f", peak in use {row['peak_bytes'] / 2**20:,.0f} MiB" if row.get("peak_bytes") else ""
            notes.append(f"  torch {name}: ready after {row['first']['seconds']:.1f} s{_graphs(row['first'])}{peak}")
    return notes


def _graphs(first: dict[str, Any]) -> str:
    if not first["graphs"]:
        return ""
    return f", {first['graphs']} compiled graphs, {first['graph_breaks']} graph breaks"


def _spread(values: dict[str, float]) -> str:
    return f"{values['median']:.2f} ({values['q1']:.2f} to {values['q3']:.2f})"


def _rate(flops: float) -> str:
    return f"{flops / 1e12:,.1f} TFLOP/s" if flops >= 1e12 else f"{flops / 1e9:,.1f} GFLOP/s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
