"""Measures the check of the radiometric offset by pixels, on every real Sentinel-2 chip in a folder.

    python benchmarks/offsets.py $JOINTSEG_DATA/sentinel2

Takes all rasters of 12 (L2A) or 13 (L1C) bands of integers below a folder. Whether one carries +1000 follows from its
darkest band, at 900 to 1350 over the whole chip and all bands, cirrus included; the table shows the figures, so that a
reader can judge. Of each it makes the same ground with and without the
+1000 (numbers below 1 become Sen2Cor's floor, 1), as a whole and in crops, in four sets of bands, and asks
`offsets.decide_offset` to confirm the right offset and the wrong one, once as a product's own baseline claims it and
once as a tag does. Prints false alarms (the right offset refused) and misses (the wrong one accepted).
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.radiometry.offsets import ADDED, decide_offset, look

L2A = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
L1C = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
SETS = {
    "10 m": ("B02", "B03", "B04", "B08"),
    "red, green, blue": ("B02", "B03", "B04"),
    "20 m": ("B05", "B06", "B07", "B8A", "B11", "B12"),
    "all but B10": L2A,
}
CROP = 64
# What a raster may say, if it carries the +1000 and if not.
CLAIMS = {
    "baseline": ({"PROCESSING_BASELINE": "05.09"}, {"PROCESSING_BASELINE": "02.14"}),
    "tag": ({"RADIO_ADD_OFFSET": "-1000"}, {"RADIO_ADD_OFFSET": "0"}),
}


def chips(folder: pathlib.Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, level, and numbers [h, w, bands] of every chip; each content once."""
    seen: set[bytes] = set()
    for path in sorted(folder.rglob("*.tif")):
        with open_raster(path) as raster:
            names = {12: L2A, 13: L1C}.get(raster.count)
            if names is None or np.dtype(raster.dtypes[0]).kind not in "iu" or raster.dtypes[0] == "uint8":
                continue
            stored = np.moveaxis(raster.read(), 0, -1).astype(np.int32)
        if stored.tobytes() not in seen:
            seen.add(stored.tobytes())
            level = "L1C" if names == L1C else "L2A"
            yield f"{path.parent.name}/{path.stem}", level, stored


def refused(stored: np.ndarray, tags: dict[str, str]) -> bool:
    """Whether numbers [n, bands] contradict what the tags say of their offset."""
    try:
        decide_offset(tags, look(stored), "chip")
    except InputError:
        return True
    return False


def measure(folder: pathlib.Path) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """One row per chip, and the table of false alarms and misses."""
    about: list[dict[str, object]] = []
    counts: dict[tuple[str, str, str, bool], list[int]] = {}
    for name, level, stored in chips(folder):
        floors = np.percentile(stored.reshape(-1, stored.shape[-1]), 0.5, axis=0)
        carries = bool(0.9 * ADDED <= floors.min() <= 1.35 * ADDED)
        about.append(
            {"chip": name, "level": level, "carries": carries} | {"darkest": [int(floors.min()), int(floors.max())]}
        )
        names = L1C if level == "L1C" else L2A
        stored = stored[..., [names.index(band) for band in L2A]]
        present = np.asarray((stored > 0).all(-1))
        plain = np.maximum(stored - int(ADDED) * carries, 1)
        whole = [np.s_[:, :]]
        steps = [range(0, side - CROP + 1, CROP) for side in stored.shape[:2]]
        crops = [np.s_[row : row + CROP, column : column + CROP] for row in steps[0] for column in steps[1]]
        for extent, windows in (("whole", whole), (f"crops of {CROP}", crops)):
            for bands, chosen in SETS.items():
                index = [L2A.index(band) for band in chosen]
                for window in windows:
                    ground = plain[window][present[window]][:, index]
                    for lifted in (True, False):
                        here = ground + int(ADDED) * lifted
                        for claim, (with_offset, without) in CLAIMS.items():
                            right, wrong = (with_offset, without) if lifted else (without, with_offset)
                            found = counts.setdefault((extent, bands, claim, lifted), [0, 0, 0])
                            found[0] += 1
                            found[1] += refused(here, right)
                            found[2] += not refused(here, wrong)
    table: list[dict[str, object]] = [
        {"extent": extent, "bands": bands, "claimed by": claim, "numbers": "with +1000" if lifted else "without"}
        | {"n": n, "false alarms": false, "misses": missed}
        for (extent, bands, claim, lifted), (n, false, missed) in counts.items()
    ]
    return about, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables, and JSON in the last line; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    return cli.status_of(lambda: report(parser.parse_args(arguments).folder))


def report(folder: pathlib.Path) -> None:
    """Prints what is measured on the chips of a folder."""
    about, table = measure(folder)
    if not about:
        raise InputError(f"{folder} has no rasters of 12 or 13 bands of 16-bit integers: give a folder of chips")
    for rows in (about, table):
        print("  ".join(rows[0]))
        for row in rows:
            print("  ".join(str(value) for value in row.values()))
    print(json.dumps({"chips": about, "table": table}))


if __name__ == "__main__":
    sys.exit(main())
