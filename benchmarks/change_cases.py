"""Measures decoded change on made-up ground whose change is known, in the cases that monitoring must survive.

    python benchmarks/change_cases.py --workdir=runs/change-demo --output=/tmp/cases --seed=0 --side=360

Four maps of a place in each sub-region, each under its own light, haze, noise and sensor, without cloud, decoded as
`jointseg monitor` does:

growth       the ground of 2017, 2019, 2021 and 2023
none         the ground of 2017 four times
demolition   the same maps as growth, in reverse order
shifted      as none, the third image 5 m down
hazy         as none, the third image behind haze that adds a quarter of white light

Crops stay those of the ground's year in the cases without growth. Prints figures per case and method, and JSON.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.change.monitor_record import Settings
from jointseg_jax.change.run_monitor import run_monitor
from jointseg_jax.change.year_map import open_year
from jointseg_jax.evaluation.change.decoded import read_states
from jointseg_jax.evaluation.change.kinds import Kinds, filled, majority, thresholded
from jointseg_jax.evaluation.change.scores import ChangeCounts
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.landscape import BANDS, REGIONS, YEARS, SyntheticScene, make_scene
from jointseg_jax.landscape.files import digital_numbers, instrument, write_scene
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
from jointseg_jax.training.trained import Trained, load_trained

LABELS = tuple(map(str, YEARS))
LEFT, TOP = 499_980.0, 3_400_020.0
SHIFT = 2.0  # metres; spread of the misregistration of every image
HAZE = 0.25  # of white light
WRONG = 2  # the date that is wrong
GAINS = (0.001, 0.005, 0.02, 0.1)  # yearly shares for the sensitivity; loss is a fifth


@dataclasses.dataclass(frozen=True)
class Look:
    """An image: the year of its ground, its weather, metres that it lies further down, haze."""

    ground: int
    weather: int
    down: float = 0.0
    haze: float = 0.0

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.ground}-{self.weather}-{self.down:g}-{self.haze:g}"


def cases() -> dict[str, list[Look]]:
    """The images of every case, by date."""
    growth = [Look(year, year) for year in YEARS]
    none = [Look(YEARS[0], year) for year in YEARS]
    shifted, hazy = list(none), list(none)
    shifted[WRONG] = dataclasses.replace(none[WRONG], down=5.0)
    hazy[WRONG] = dataclasses.replace(none[WRONG], haze=HAZE)
    return {"growth": growth, "none": none, "demolition": growth[::-1], "shifted": shifted, "hazy": hazy}


def write_image(folder: pathlib.Path, scene: SyntheticScene, look: Look) -> None:
    """Writes the rasters of an image, with its wrongs."""
    if look.haze:
        white = np.float32(look.haze) * np.array([1, 0.9, 0.8, 0.6, 0.3, 0.2], np.float32)
        hazed = scene.reflectance * (1 - look.haze) + white * 0.6
        scene = dataclasses.replace(scene, reflectance=hazed.astype(np.float32))
    write_scene(folder, scene, (LEFT, TOP), SHIFT)
    if not look.down:
        return
    rng = np.random.default_rng([scene.seed, scene.weather, 2])
    for name, bands, spacing in (("s2", BANDS[:4], 10), ("s2_20m", BANDS[4:], 20)):
        path = folder / f"{name}.tif"
        header = read_header(path)
        sensor = instrument(scene.seed, scene.weather, bands, spacing, SHIFT)
        sensor = dataclasses.replace(sensor, shift=(sensor.shift[0] + look.down, sensor.shift[1]))
        values = digital_numbers(scene.reflectance, scene.cloud, scene.cloud_shadow, bands, sensor, rng)
        path.unlink()
        write_raster(path, values, Layout(header.lattice, "uint16", bands, 0, dict(header.tags)))


def mapped(root: pathlib.Path, trained: Trained, region: str, look: Look, seed: int, side: int) -> np.ndarray:
    """Maps an image into its folder, unless it is there; returns its label. There are no clouds."""
    folder = root / region / look.name
    product = folder / "map"
    if not (folder / "label.npy").exists():
        scene = make_scene(region, year=look.ground, height=side, width=side, seed=seed, weather=look.weather)
        clear = np.zeros_like(scene.cloud)
        write_image(folder / "scenes" / look.name, dataclasses.replace(scene, cloud=clear, cloud_shadow=clear), look)
        plan = plan_area(trained, folder / "scenes", None, product, product_plan.Settings(), say=lambda line: None)
        map_area(trained, plan, product, Serial(), say=lambda line: None)
        np.save(folder / "label.npy", scene.label)
    return np.asarray(np.load(folder / "label.npy"))


def decoded(root: pathlib.Path, region: str, looks: Sequence[Look], side: int, settings: Settings) -> np.ndarray:
    """The states that `jointseg monitor` decodes from the maps of some images."""
    folders = {label: root / region / look.name / "map" for label, look in zip(LABELS, looks, strict=True)}
    with tempfile.TemporaryDirectory() as scratch:
        run_monitor(folders, pathlib.Path(scratch) / "out", settings, Serial(), say=lambda line: None)
        states = read_states(pathlib.Path(scratch) / "out")
        handles = Handles()
        found = states.read(32650, (LEFT, TOP - side, LEFT + side, TOP), handles)
        handles.close()
        return found


def singles(root: pathlib.Path, region: str, looks: Sequence[Look], side: int) -> np.ndarray:
    """What each map shows by itself, gaps filled from the date before."""
    box = (LEFT, TOP - side, LEFT + side, TOP)
    handles, maps = Handles(), []
    for look in looks:
        maps.append(open_year(root / region / look.name / "map").read(32650, box, handles))
    handles.close()
    return filled(thresholded(maps))


def measure(root: pathlib.Path, trained: Trained, seed: int, side: int) -> dict[str, Any]:
    """Figures by case and method, over all sub-regions."""
    kinds = Kinds(LABELS)
    found: dict[str, dict[str, ChangeCounts]] = {}
    for number, region in enumerate(REGIONS):
        for case, looks in cases().items():
            true = np.stack([mapped(root, trained, region, look, seed + number, side) for look in looks])
            single = singles(root, region, looks, side)
            shown = {"naive": single, "majority": majority(single)}
            shown["decoded"] = decoded(root, region, looks, side, Settings(0))
            if case in ("shifted", "hazy"):
                shown["decoded, unregistered, no doubt"] = decoded(
                    root, region, looks, side, Settings(0, register=False, doubt=False)
                )
            if case in ("growth", "none"):
                for gain in GAINS:
                    settings = Settings(0, gain=gain, loss=gain / 5)
                    shown[f"decoded, gain {gain:g} a year"] = decoded(root, region, looks, side, settings)
                shown["decoded, irreversible"] = decoded(root, region, looks, side, Settings(0, irreversible=True))
                shown["decoded, prior 0.5"] = decoded(root, region, looks, side, Settings(0, prior=0.5))
            for method, states in shown.items():
                one = ChangeCounts.of(states, true, kinds)
                own = found.setdefault(case, {})
                own[method] = own[method] + one if method in own else one
    return {case: {m: c.figures(kinds) for m, c in methods.items()} for case, methods in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, and JSON in the last line; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for images and maps, kept")
    parser.add_argument("--seed", type=cli.number(whole(0, 2**31)), default=100)
    parser.add_argument("--side", type=cli.number(whole(240, 3000, multiple=60)), default=360, help="metres")

    def work() -> None:
        given = parser.parse_args(arguments)
        use_compilation_cache()
        found = measure(given.output, load_trained(str(given.workdir)), given.seed, given.side)
        head = ("case", "method", "change P", "change R", "change F1", "false change %", "flicker %", "right period")
        print(" | ".join(head))
        for case, methods in found.items():
            for method, f in methods.items():
                change = f["change"]
                percent = [None if (v := f[k]) is None else 100 * v for k in ("false_change", "flicker")]
                row = (change["precision"], change["recall"], change["f1"], *percent, f["right_period"])
                print(" | ".join([case, method, *("-" if v is None else f"{v:.3f}" for v in row)]))
        print(json.dumps(found))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
