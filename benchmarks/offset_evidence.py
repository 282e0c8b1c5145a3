"""Measures how far the pixels confirm or contradict what is said of the offset of Sentinel-2 numbers.

    python benchmarks/offset_evidence.py $JOINTSEG_DATA/sentinel2

Takes every L2A chip of 12 bands below a folder, as it is, with 1000 added and with 1000 taken off (numbers stop at 1,
as processors write them), and reads each as preparation and prediction do, once with a tag RADIO_ADD_OFFSET of 0 and
once of -1000. A right tag that is refused is a false alarm, a wrong tag that is accepted a miss. Prints a table by
state and bands, the chips behind each figure, and JSON in the last line. `--lifted` names chips whose own numbers
include +1000.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.radiometry.encoding import Stated, interpret
from jointseg_jax.rasters.radiometry.offsets import ADDED
from jointseg_jax.rasters.radiometry.sample import Sample
from jointseg_jax.rasters.radiometry.unit_checks import check_nature

ALL = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
SETS = {"B02 B03 B04 B08": ("B02", "B03", "B04", "B08"), "B04 B03 B02": ("B04", "B03", "B02"), "all 12": ALL}
# What was added to numbers without an offset, and the tag that is right.
STATES = {"without": (0.0, "0"), "with +1000": (ADDED, "-1000"), "1000 taken off": (-ADDED, None)}
TAGS = ("0", "-1000")


def chips(root: pathlib.Path, lifted: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Numbers without an offset [h, w, 12] of the L2A chips below a folder, 0 where absent; equal chips once."""
    found: dict[str, np.ndarray] = {}
    for path in sorted(root.rglob("*.tif")):
        with open_raster(path) as raster:
            if raster.count != len(ALL) or "L1C" in str(path):
                continue
            stored = np.moveaxis(raster.read(), 0, -1).astype(np.int32)
        if any(part in path.name for part in lifted):
            stored = np.where(stored > 0, np.maximum(stored - int(ADDED), 1), 0)
        if not any(v.shape == stored.shape and (v == stored).all() for v in found.values()):
            found[path.stem] = stored
    if not found:
        raise InputError(f"{root} has no raster of {len(ALL)} bands: give a folder with L2A chips")
    return found


def accepted(numbers: np.ndarray, bands: tuple[str, ...], tag: str) -> bool:
    """Whether a raster with these numbers and this tag is read."""
    stored = numbers[..., [ALL.index(band) for band in bands]].astype(np.uint16)
    everywhere = np.ones(stored.shape[:2], bool)
    sample = Sample((stored,), (everywhere,), (everywhere,))
    file = Stated("chip.tif", "uint16", 0.0, 1.0, 0.0, {"RADIO_ADD_OFFSET": tag})
    try:
        read_as, _ = interpret(Modality("s2", bands, 10.0, "uint16", "reflectance"), file, sample)
        check_nature(read_as.decode(sample.ground(read_as)), read_as, "chip.tif", scale=1.0)
    except InputError:
        return False
    return True


def measure(found: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """One row per bands, state and tag: whether the tag is right, and the chips that are treated wrongly."""
    rows: list[dict[str, object]] = []
    for title, bands in SETS.items():
        for state, (added, right) in STATES.items():
            for tag in TAGS:
                wrong = []
                for name, numbers in found.items():
                    dn = np.where(numbers > 0, np.maximum(numbers + int(added), 1), 0)
                    if accepted(dn, bands, tag) != (tag == right):
                        wrong.append(name)
                kind = "false alarms" if tag == right else "misses"
                rows.append(
                    {"bands": title, "numbers": state, "tag": tag, "kind": kind, "of": len(found), "chips": wrong}
                )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--lifted", default="433D", help="parts of names of chips with +1000, separated by commas")
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    rows = measure(chips(flags.folder, tuple(filter(None, flags.lifted.split(",")))))
    for row in rows:
        wrong = row["chips"]
        assert isinstance(wrong, list)
        about = (
            f"{row['bands']:16} {row['numbers']:14} tag {row['tag']:>5}: {len(wrong):2} {row['kind']} of {row['of']}"
        )
        print(about, ", ".join(wrong))
    print(json.dumps(rows))


if __name__ == "__main__":
    sys.exit(main())
