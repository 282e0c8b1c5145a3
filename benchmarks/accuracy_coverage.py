"""Measures how often the intervals of accuracy and area hold the truth: 1,000 samples of known maps.

    python benchmarks/accuracy_coverage.py --samples=1000

Every case is a known map, sampled at random within its strata. A family draws a new map for every sample, so that a
figure does not depend on which discrete counts one map happens to allow. Prints a table in per cent, by kind of
interval, how many of its figures lie within 94 and 96, and the figures as JSON.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.evaluation.accuracy import intervals
from jointseg_jax.evaluation.accuracy.estimators import estimate, standard
from jointseg_jax.evaluation.accuracy.samples import Blocks, Points, Sample, own_rows

DRAWS = 1_000  # of the posterior per interval: fewer than the program's, for speed
KINDS = ("wald", "bayes")
OLOFSSON = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]], float)
OLOFSSON_AREAS = np.array([2e5, 1.5e5, 3.2e6, 6.45e6])


class Case(NamedTuple):
    """A case: yields a sample and the true values of its figures, once per call of `draw`."""

    name: str
    draw: Callable[[np.random.Generator], tuple[Sample, np.ndarray]]
    classes: int


def stratified(name: str, shares: ArrayLike, areas: ArrayLike, points: Sequence[int]) -> Case:
    """A map whose classes are the strata: shares of the reference classes in each [map, reference]."""
    matrix, weights = np.asarray(shares, float), np.asarray(areas, float)
    matrix = matrix / matrix.sum(1, keepdims=True)
    return Case(name, lambda rng: _draw(rng, matrix, weights, points), len(matrix))


def _draw(
    rng: np.random.Generator, matrix: np.ndarray, areas: np.ndarray, points: Sequence[int]
) -> tuple[Sample, np.ndarray]:
    classes = len(matrix)
    cells = np.eye(classes)[:, :, None] * matrix[:, None, :]
    return _of_cells(rng, cells, areas, points, own_rows(np.eye(classes, dtype=bool)))


def _of_cells(
    rng: np.random.Generator, cells: np.ndarray, areas: np.ndarray, points: Sequence[int], possible: np.ndarray
) -> tuple[Sample, np.ndarray]:
    """A sample of a map known by its shares of cells in every stratum [strata, map, reference]."""
    flat, one = cells.reshape(len(cells), -1), np.ones(len(cells))
    truth = estimate(Points(flat * 1e9, areas, possible, one), standard(cells.shape[1])).value
    counts = np.stack([rng.multinomial(n, p) for n, p in zip(points, flat, strict=True)]).astype(float)
    return Points(counts, areas, possible, one), truth


def other_strata(name: str, cells: ArrayLike, areas: ArrayLike, points: Sequence[int]) -> Case:
    """Strata that are not the map's classes."""
    known, sizes = np.asarray(cells, float), np.asarray(areas, float)
    known = known / known.sum((1, 2), keepdims=True)
    possible = np.ones((len(known), known.shape[1] ** 2), bool)
    return Case(name, lambda rng: _of_cells(rng, known, sizes, points, possible), known.shape[1])


def family(name: str, points: Sequence[int]) -> Case:
    """Two-class maps: the rare class on 1 to 20 %, 0.1 to 5 % of the rest omitted, user's accuracy about 0.8."""

    def draw(rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        rare, omitted = np.exp(rng.uniform(np.log([0.01, 0.001]), np.log([0.2, 0.05])))
        right = rng.beta(8, 2)
        matrix = np.array([[1 - omitted, omitted], [1 - right, right]])
        return _draw(rng, matrix, np.array([1 - rare, rare]), points)

    return Case(name, draw, 2)


def family_of_four(name: str, points: Sequence[int]) -> Case:
    """Maps of four classes, the first two rare (8 % each on average), user's accuracies about 0.8, errors uneven."""

    def draw(rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        matrix = np.diag(rng.beta(8, 2, 4))
        for row in range(4):
            matrix[row, np.arange(4) != row] = (1 - matrix[row, row]) * rng.dirichlet([0.5, 0.5, 0.5])
        return _draw(rng, matrix, rng.dirichlet([0.5, 0.5, 3, 2]), points)

    return Case(name, draw, 4)


def family_of_strata(name: str, points: Sequence[int]) -> Case:
    """Two-class maps in three strata that are not the map's classes."""
    usual = 12 * np.array([[0.93, 0.02, 0.02, 0.03], [0.5, 0.1, 0.1, 0.3], [0.1, 0.05, 0.05, 0.8]])

    def draw(rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        cells = np.stack([rng.dirichlet(row) for row in usual]).reshape(3, 2, 2)
        return _of_cells(rng, cells, rng.dirichlet([6, 3, 1]), points, np.ones((3, 4), bool))

    return Case(name, draw, 2)


def family_at_random(name: str, points: int) -> Case:
    """The maps of `family` under simple random samples."""

    def draw(rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        rare, omitted = np.exp(rng.uniform(np.log([0.01, 0.001]), np.log([0.2, 0.05])))
        right = rng.beta(8, 2)
        cells = np.array([[[(1 - rare) * (1 - omitted), (1 - rare) * omitted], [rare * (1 - right), rare * right]]])
        return _of_cells(rng, cells, np.ones(1), (points,), np.ones((1, 4), bool))

    return Case(name, draw, 2)


def blocks(name: str, number: int, side: int) -> Case:
    """Blocks of side x side points in a clustered landscape, one stratum."""
    frame_rng = np.random.default_rng(11)
    share = frame_rng.beta(0.5, 2.0, 50_000)[:, None]
    reference = frame_rng.random((50_000, side**2)) < share
    mapped = reference ^ (frame_rng.random(reference.shape) < 0.3 * share * (1 - share) + 0.02)
    cell = 2 * mapped + reference
    frame = np.stack([(cell == c).sum(1) for c in range(4)], 1).astype(float)
    possible, one = np.ones((1, 4), bool), np.ones(1)
    truth = estimate(Points(frame.sum(0)[None], one, possible, one), standard(2)).value

    def draw(rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        chosen = frame[rng.choice(len(frame), number, replace=False)]
        return Blocks(chosen, np.zeros(number, int), one, possible, one), truth

    return Case(name, draw, 2)


def cases() -> Iterator[Case]:
    """All cases of the table."""
    yield stratified("Olofsson 2014", OLOFSSON, OLOFSSON_AREAS, (75, 75, 165, 325))
    yield stratified("Olofsson 2014, 5 points of the rare classes", OLOFSSON, OLOFSSON_AREAS, (5, 5, 165, 325))
    rare = [[0.99, 0.01], [0.15, 0.85]]
    for points in ((300, 50), (300, 5), (100, 25)):
        yield stratified(f"two classes, rare on 7 %, {points[0]} + {points[1]} points", rare, (0.93, 0.07), points)
    cells = [[[0.93, 0.02], [0.02, 0.03]], [[0.5, 0.1], [0.1, 0.3]], [[0.1, 0.05], [0.05, 0.8]]]
    yield other_strata("other strata, 3 x 60 points", cells, (0.6, 0.3, 0.1), (60, 60, 60))
    yield other_strata("simple random, rare on 4 %, 150 points", [[[0.95, 0.01], [0.01, 0.03]]], (1,), (150,))
    for points in ((500, 100), (300, 50), (100, 25), (300, 5)):
        yield family(f"family, {points[0]} + {points[1]} points", points)
    for drawn in ((75, 75, 165, 325), (5, 5, 165, 325)):
        yield family_of_four(f"family of four, {' + '.join(map(str, drawn))} points", drawn)
    for number in (60, 20):
        yield family_of_strata(f"family of other strata, 3 x {number} points", (number,) * 3)
    for number in (500, 150):
        yield family_at_random(f"family, {number} points at random", number)
    yield blocks("50 blocks of 9 points", 50, 3)


def coverage(case: Case, samples: int, kinds: Sequence[str], seed: int = 1) -> dict[str, np.ndarray]:
    """Share of samples whose interval holds the truth, per kind [figures]; undefined estimates are left out."""
    rng, ratios = np.random.default_rng(seed), standard(case.classes)
    hits = {kind: np.zeros(len(ratios.over)) for kind in kinds}
    defined = np.zeros(len(ratios.over))
    for _ in range(samples):
        sample, truth = case.draw(rng)
        found = estimate(sample, ratios)
        defined += ~np.isnan(found.value)
        for kind in kinds:
            low, high = intervals.limits(kind, sample, ratios, found)
            hits[kind] += (low <= truth) & (truth <= high)
    return {kind: hit / np.maximum(defined, 1) for kind, hit in hits.items()}


def summary(made: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Per kind of interval, and for families apart: how many figures lie within 94 and 96, and the extremes."""
    for kind in KINDS:
        for title, of_family in (("families", True), ("single maps", False)):
            rows = [m["coverage"] for m in made if m["interval"] == kind and ("family" in m["case"]) == of_family]
            if rows:
                found = 100 * np.concatenate(rows)
                held = int(((found >= 94) & (found <= 96)).sum())
                yield f"{kind}, {title}: {held} of {len(found)} within 94 to 96; {found.min():.1f} to {found.max():.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Arguments(prog="python benchmarks/accuracy_coverage.py", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=cli.number(whole(1)), default=1000, help="samples per case")
    parser.add_argument("--cases", type=cli.number(whole(1)), help="only the first cases")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter

    def work() -> None:
        given = parser.parse_args(arguments)
        intervals.DRAWS = DRAWS
        made: list[dict[str, Any]] = []
        print("| case | interval | overall | user's | producer's | area |\n| --- | --- | --- | --- | --- | --- |")
        for case in list(cases())[: given.cases]:
            for kind, found in coverage(case, given.samples, KINDS).items():
                k = case.classes
                groups = [found[:1], found[1 : 1 + k], found[1 + k : 1 + 2 * k], found[1 + 2 * k :]]
                shown = " | ".join(" ".join(f"{100 * v:.1f}" for v in group) for group in groups)
                print(f"| {case.name} | {kind} | {shown} |", flush=True)
                made.append({"case": case.name, "interval": kind, "coverage": found.round(4).tolist()})
        print(*summary(made), sep="\n")
        print(json.dumps({"samples": given.samples, "coverage": made}))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
