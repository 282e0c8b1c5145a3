"""Corrects the mapped area of a real map whose every pixel an expert labelled: a Dynamic World tile.

    python benchmarks/accuracy_dynamic_world.py --data=$JOINTSEG_DATA/accuracy

The map is the most probable class of the tile. Prints for the class "built" and for all classes of the tile how far the
mapped area is from the expert's, and over 1,000 stratified samples the mean of the estimates, their scatter, and how
often the intervals hold the expert's area.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy import intervals
from jointseg_jax.evaluation.accuracy.estimators import estimate, standard
from jointseg_jax.evaluation.accuracy.samples import of_matrix

CLASSES = (
    "water", "trees", "grass", "flooded vegetation", "crops", "shrub and scrub", "built", "bare", "snow and ice",
)  # fmt: skip
FILE = "dynamic_world_tile.npz"
DRAWS = 2_000  # see accuracy_coverage.py


def read_tile(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Mapped and true class of every labelled pixel [pixels]."""
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path} is missing: give the folder of the tile with --data")
    with np.load(path) as stored:
        mapped, expert = stored["probs"].argmax(0), stored["expert"]
    known = expert >= 0
    return mapped[known], expert[known].astype(int)


def cross(mapped: np.ndarray, true: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Pixels by group of mapped classes and group of true classes."""
    of = np.empty(len(CLASSES), int)
    for number, group in enumerate(groups):
        of[list(group)] = number
    found = np.zeros((len(groups), len(groups)))
    np.add.at(found, (of[mapped], of[true]), 1)
    return found


def measure(pixels: np.ndarray, names: Sequence[str], points: Sequence[int], samples: int) -> dict[str, Any]:
    """Figures of repeated samples, drawn without replacement within the mapped classes."""
    rng, ratios, count = np.random.default_rng(1), standard(len(pixels)), len(pixels)
    areas, true = pixels.sum(1), pixels.sum(0) / pixels.sum()
    made: dict[str, list[np.ndarray]] = {"estimate": [], "se": [], "wald": [], "bayes": []}
    for _ in range(samples):
        counts = np.stack(
            [rng.multivariate_hypergeometric(row.astype(int), n) for row, n in zip(pixels, points, strict=True)]
        )
        sample = of_matrix(counts, areas)
        found = estimate(sample, ratios)
        made["estimate"].append(found.value[-count:])
        made["se"].append(found.se[-count:])
        for kind in ("wald", "bayes"):
            low, high = intervals.limits(kind, sample, ratios, found)
            made[kind].append((low[-count:] <= true) & (true <= high[-count:]))
    mean = {key: np.mean(values, 0) for key, values in made.items()}
    scatter = np.std(made["estimate"], 0)
    return {
        name: {
            "true": float(true[i]), "mapped": float(areas[i] / pixels.sum()), "estimate": float(mean["estimate"][i]),
            "scatter": float(scatter[i]), "se": float(mean["se"][i]), "wald": float(mean["wald"][i]),
            "bayes": float(mean["bayes"][i]), "points": int(points[i]),
        }
        for i, name in enumerate(names)
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Arguments(prog="python benchmarks/accuracy_dynamic_world.py", description="Area of a real map.")
    parser.add_argument("--data", type=pathlib.Path, required=True, help=f"folder with {FILE}")
    parser.add_argument("--samples", type=cli.number(whole(2)), default=1000)

    def work() -> None:
        given = parser.parse_args(arguments)
        intervals.DRAWS = DRAWS
        mapped, true = read_tile(given.data)
        built = CLASSES.index("built")
        others = [c for c in range(len(CLASSES)) if c != built]
        two = measure(cross(mapped, true, [others, [built]]), ["other", "built"], (200, 100), given.samples)
        present = [c for c in range(len(CLASSES)) if (mapped == c).sum() >= 60 and (true == c).any()]
        rest = [c for c in range(len(CLASSES)) if c not in present]
        groups = [[c] for c in present] + ([rest] if (np.isin(mapped, rest)).sum() >= 60 else [])
        inside = np.isin(mapped, [c for group in groups for c in group])
        inside &= np.isin(true, [c for group in groups for c in group])
        names = [CLASSES[group[0]] if len(group) == 1 else "rest" for group in groups]
        pixels = cross(mapped[inside], true[inside], groups)
        many = measure(pixels, names, (50,) * len(groups), given.samples)
        print(
            "| class | points | expert, % | map, % | estimate, % | scatter | mean SE | wald holds, % | bayes holds, % |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, row in [("built of two", two["built"]), *many.items()]:
            cells = [100 * row[k] for k in ("true", "mapped", "estimate", "scatter", "se", "wald", "bayes")]
            shown = " | ".join(f"{v:.2f}" if i < 5 else f"{v:.1f}" for i, v in enumerate(cells))
            print(f"| {name} | {row['points']} | {shown} |")
        print(json.dumps({"pixels": len(mapped), "two": two, "many": many, "left_out": float(1 - inside.mean())}))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
