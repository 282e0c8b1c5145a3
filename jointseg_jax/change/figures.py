"""What a monitor found, added up over its tiles: for people, for `metrics.json` and for its records."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jointseg_jax.change.estimation import FASTEST
from jointseg_jax.change.layers import colours_of, words_of
from jointseg_jax.change.monitor_record import Monitor
from jointseg_jax.change.read_monitor import MonitorRow, parse_row
from jointseg_jax.mapping.records.change_items import ChangeLayer, change_records, write_change_records
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.pictures.drawing import COLORMAP
from jointseg_jax.storage.files import write_json
from jointseg_jax.storage.folders import claim

METRICS = "metrics.json"
# Medians of reflectance (or of a display stretch from 0 to 1) and of probability that are worth a line.
_BAND_JUMP, _PROBABILITY_JUMP, _DOUBTFUL = 0.02, 0.02, 0.05


def conclude(
    folder: pathlib.Path, monitor: Monitor, rows: Mapping[str, Mapping[str, Any]], say: Callable[[str], None]
) -> None:
    """Writes `metrics.json` and the STAC records, and says what was found."""
    tiles = [parse_row(name, row, folder) for name, row in sorted(rows.items())]
    found = metrics(monitor, tiles)
    items = [tile.item() for tile in tiles]
    with claim(folder, "monitor", inputs=()) as taken:
        names = {METRICS, "monitor.json", *change_records(items)}
        taken.announce(names - {"monitor.json"})
    write_json(folder / METRICS, found)
    labels = monitor.labels
    write_change_records(
        folder,
        items,
        _layers(labels),
        title=f"change at 1 m, {labels[0]} to {labels[-1]}",
        description=f"Maps of {', '.join(labels)} by {monitor.dates[0].network}, decoded as one sequence per pixel.",
        fields={"jointseg:years": list(labels), "jointseg:differences": list(monitor.differences)},
    )
    taken.sweep(names)
    _say(found, monitor, say)
    say(f"records {folder / 'collection.json'}: {len(tiles)} tiles; figures in {folder / METRICS}")


def metrics(monitor: Monitor, tiles: Sequence[MonitorRow]) -> dict[str, Any]:
    """The figures of a monitor as JSON values; areas in km2 on the ellipsoid."""
    flicker = {key: sum(t.flicker[key] for t in tiles) for key in ("pixels", "raw", "decoded", "raw_changed",
                                                                   "decoded_changed")}  # fmt: skip
    pixels = max(flicker["pixels"], 1)
    regions = {}
    for name in dict.fromkeys(r for t in tiles for r in t.regions):
        parts = [t.regions[name] for t in tiles if name in t.regions]
        regions[name or ("elsewhere" if monitor.regions else "all")] = {
            "valid_km2": sum(p.valid_m2 for p in parts) / 1e6,
            **{
                f"{key}_km2": (np.sum([getattr(p, f"{key}_m2") for p in parts], 0) / 1e6).tolist()
                for key in ("impervious", "gain", "loss")
            },
        }
    seconds = sum(t.seconds for t in tiles)
    return {
        "dates": list(monitor.labels),
        "tiles": len(tiles),
        "flicker": {
            "pixels": flicker["pixels"],
            "raw": flicker["raw"] / pixels,
            "decoded": flicker["decoded"] / pixels,
            "raw_changed": flicker["raw_changed"] / pixels,
            "decoded_changed": flicker["decoded_changed"] / pixels,
        },
        "regions": regions,
        "registration": {label: _registration(tiles, label) for label in monitor.labels},
        "jumps": {label: _jumps(tiles, label) for label in monitor.labels},
        "doubt": {
            label: float(np.average([t.doubt[k] for t in tiles], weights=[max(t.valid_m2, 1) for t in tiles]))
            for k, label in enumerate(monitor.labels)
        },
        "decode_km2_per_second": sum(t.owned_m2 for t in tiles) / 1e6 / max(seconds, 1e-9),
    }


def _registration(tiles: Sequence[MonitorRow], label: str) -> dict[str, Any]:
    """Over the tiles: how many were measured and moved, the median shift and what remains, metres; reasons why not."""
    lies = [t.lies[label] for t in tiles if label in t.lies]
    measured = [x for x in lies if x["residual"] is not None]
    reasons: dict[str, int] = {}
    for x in lies:
        if x["note"]:
            what = "the input is not reachable" if "not reachable" in x["note"] else x["note"]
            reasons[what] = reasons.get(what, 0) + 1

    def median(values: list[float]) -> float | None:
        return round(float(np.median(values)), 2) if values else None

    return {
        "reference": sum(x["reference"] == label for x in lies),
        "measured": len(measured),
        "moved": sum(any(x["moved"]) for x in lies),
        "down": median([x["down"] for x in measured]),
        "right": median([x["right"] for x in measured]),
        "residual": median([x["residual"] for x in measured]),
        "notes": reasons,
    }


def _jumps(tiles: Sequence[MonitorRow], label: str) -> dict[str, Any]:
    """Means over the tiles, weighted by stable ground, and the tile where the probability differs most."""
    found: dict[str, Any] = {}
    for kind in ("pervious", "impervious"):
        by_tile = {t.tile: j for t in tiles if (j := t.jumps.get(label, {}).get(kind))}
        if not by_tile:
            continue
        parts = list(by_tile.values())
        pixels = [p["pixels"] for p in parts]
        most = max(by_tile, key=lambda name: abs(by_tile[name]["probability"]))
        found[kind] = {
            "pixels": sum(pixels),
            "probability": _mean([p["probability"] for p in parts], pixels),
            "most": {"tile": most, "probability": by_tile[most]["probability"]},
        }
        with_bands = [p for p in parts if "bands" in p]
        if with_bands:
            weights = [p["pixels"] for p in with_bands]
            names = with_bands[0]["bands"]
            found[kind]["bands"] = {
                name: _mean([p["bands"].get(name, 0.0) for p in with_bands], weights) for name in names
            }
    return found


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return round(float(np.average(values, weights=weights)), 5)


def say_classes(monitor: Monitor, say: Callable[[str], None]) -> None:
    """Says the transitions of each class of ground."""
    how = "as given" if monitor.settings.sharpness is not None else "at which the sample is most probable"
    say(f"sharp   log-odds count {monitor.sharpness:g} times, {how}")
    given = "as given"
    if None in (monitor.settings.gain, 0.0 if monitor.settings.irreversible else monitor.settings.loss):
        given = "assumed: two dates do not tell change from error (--gain, --loss)"
    too_fast = 0
    for rates in monitor.classes:
        if not rates.pixels:
            continue
        low, high = rates.density
        where = f"{rates.region}, " if rates.region else ""
        source = f"from {rates.sampled} sequences" if rates.sampled else given
        if rates.assumed:
            too_fast += 1
            words = " and ".join(rates.assumed)
            source += f"; {words} assumed, because more than {100 * FASTEST:g} % a year was estimated"
        say(
            f"chain   {where}{100 * low:g} to {100 * high:g} % built up: {100 * rates.gain:.3g} % gained and "
            f"{100 * rates.loss:.3g} % lost per year, {source}"
        )
    if too_fast:
        say(
            f"warning in {too_fast} of {len(monitor.classes)} classes of ground the maps change as fast as seasons and "
            "haze make them: map all years in one season (--period_of_year), or give --gain and --loss if the land did"
        )


def _say(found: Mapping[str, Any], monitor: Monitor, say: Callable[[str], None]) -> None:
    flicker = found["flicker"]
    say(
        f"flicker {flicker['raw']:.3%} of {flicker['pixels'] / 1e6:.4g} km2 go impervious, pervious, impervious in the "
        f"maps, {flicker['decoded']:.3%} decoded; {flicker['raw_changed']:.2%} and {flicker['decoded_changed']:.2%} "
        "change at all"
    )
    for label in monitor.labels:
        lies = found["registration"][label]
        if lies["measured"]:
            say(
                f"shift   {label}: {lies['down']} m down, {lies['right']} m right (median of {lies['measured']} "
                f"tiles), {lies['moved']} moved, {lies['residual']} m remain"
            )
        for reason, count in lies["notes"].items():
            say(f"warning {label}: not moved in {count} tiles: {reason}")
        for text in _jump_words(label, found["jumps"][label]):
            say(f"warning {text}")
        if found["doubt"][label] > _DOUBTFUL:
            say(f"warning {label} contradicts the other dates on {found['doubt'][label]:.1%} of the ground")
    for name, areas in found["regions"].items():
        first, last = areas["impervious_km2"][0], areas["impervious_km2"][-1]
        say(f"growth  {name}: {first:.4g} to {last:.4g} km2 impervious of {areas['valid_km2']:.4g} km2")


def _jump_words(label: str, jumps: Mapping[str, Any]) -> list[str]:
    """What a jump on stable ground means: radiometry where roofs and fields jump alike, else season."""
    words = []
    size = {kind: max(map(abs, j.get("bands", {"": 0.0}).values())) for kind, j in jumps.items()}
    if size.get("impervious", 0) > _BAND_JUMP:
        words.append(f"{label} differs in radiometry: stable impervious ground by up to {size['impervious']:.3f}")
    elif size.get("pervious", 0) > _BAND_JUMP:
        words.append(f"{label} differs in season: stable pervious ground by up to {size['pervious']:.3f}")
    for kind, found in jumps.items():
        most = found["most"]
        if max(abs(found["probability"]), abs(most["probability"])) > _PROBABILITY_JUMP:
            words.append(
                f"{label}: the probability of stable {kind} ground differs by {found['probability']:+.3f}, most in "
                f"tile {most['tile']}: {most['probability']:+.3f}"
            )
    return words


def _layers(labels: Sequence[str]) -> dict[str, ChangeLayer]:
    def shown(table: Mapping[int, Sequence[int]], words: Mapping[int, str]) -> dict[int, tuple[str, str]]:
        return {k: (text, "".join(f"{c:02X}" for c in table[k][:3])) for k, text in words.items() if k != IGNORE}

    return {
        "year_of_change": ChangeLayer(
            "date of the first change", shown(colours_of(len(labels)), words_of(labels)), True
        ),
        "states": ChangeLayer("state on each date", shown(COLORMAP, {0: "pervious", 1: "impervious"}), True),
        "change_confidence": ChangeLayer("probability of change, or of none", {}, False),
        "change_count": ChangeLayer("expected number of changes", {}, False),
    }
