"""Draws a probability sample of a mapped area, for estimating accuracy and area, and writes the page to label it.

The strata are the map's classes; --density, --polygons and --buffer divide them further, --earlier makes a map of
change of two products, --change takes the kinds of change that jointseg monitor decoded. The size follows from a target
standard error of overall accuracy (Olofsson et al. 2014, equation 13).
"""

import argparse

import numpy as np

from jointseg_jax import cli
from jointseg_jax.bounds.number import real
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy import draw, page, sizes
from jointseg_jax.evaluation.accuracy.design import (
    DESIGN_FILE,
    PAGE_FILE,
    SAMPLE_FILE,
    Design,
    Stratum,
    read_design,
    sample_table,
    write_design,
)
from jointseg_jax.evaluation.accuracy.frame import Frame, open_frame
from jointseg_jax.evaluation.accuracy.strata import Strata, check
from jointseg_jax.geo.area_of_interest import read_regions
from jointseg_jax.storage.folders import claim

_SHARE = real(0, 1)
_SLIVER = 1e-3  # share of the map


def draw_sample(given: argparse.Namespace) -> None:
    """Draws the sample, writes its files and prints the strata.

    Args:
        given: the flags of `commands.sample`.

    Raises:
        InputError: they do not fit each other or the product.
    """
    inputs = [given.product, *given.input, *given.imagery]
    inputs += [p for p in (given.earlier, given.change, given.polygons, given.definitions) if p is not None]
    frame = open_frame(given.product, given.earlier, given.change)
    request = page.Request(given.input, given.imagery, page.read_definitions(given.definitions, frame), given.chip)
    names = [DESIGN_FILE, SAMPLE_FILE, *([] if given.no_page else [PAGE_FILE])]
    with claim(
        given.output,
        "accuracy sample",
        names=names,
        inputs=inputs,
        others="refuse",
        run={"map": frame.digest[:16], "draw": _draw_of(given)},
    ):
        design, table = _drawn(given, frame)
        write_design(given.output, design, table)
        design, rows = read_design(given.output)
        if not given.no_page:
            page.write_page(given.output / PAGE_FILE, frame, design, rows, request)
    unit = "blocks" if design.kind == "blocks" else "m2"
    for stratum in design.strata:
        print(f"stratum {stratum.name}: {stratum.units} of {stratum.size:,.0f} {unit}")
    print(f"design  {given.output / DESIGN_FILE}: {len(rows)} points, seed {design.seed}")
    if not given.no_page:
        print(f"page    {given.output / PAGE_FILE}: label them there, then run `jointseg estimate`")


def _draw_of(given: argparse.Namespace) -> str:
    """The arguments that decide the draw: a folder with answers must not get another sample."""
    own = (
        "target_se", "expected", "points", "minimum", "seed", "density", "polygons", "name", "buffer", "block",
        "block_points", "tolerance",
    )  # fmt: skip
    return " ".join(f"{key}={value}" for key in own if (value := getattr(given, key)) not in (None, ""))


def _drawn(given: argparse.Namespace, frame: Frame) -> tuple[Design, bytes]:
    regions = {} if given.polygons is None else read_regions(given.polygons, given.name)
    strata = Strata(frame, tuple(_shares("--density", given.density)), regions, given.buffer)
    check(strata)
    if given.block is not None and (regions or given.buffer):
        raise InputError("--block is drawn from tiles, divided by --density alone: leave --polygons and --buffer out")
    rng = np.random.default_rng(given.seed)
    areas = strata.areas()
    if regions:
        areas = _without_slivers(strata, areas)
    by_class = np.zeros(len(frame.classes))
    np.add.at(by_class, np.array(strata.map_class), areas.sum(0))
    classes: list[tuple[str, ...]]
    if given.block is None:
        per_tile, names = areas, strata.names
        classes = [(frame.classes[c],) for c in strata.map_class]
    else:
        blocks = draw.Blocks(strata, given.block, given.block_points)
        per_tile, names = blocks.counts().astype(float), tuple(part or "all" for part in strata.parts)
        classes = [frame.classes] * len(names)
    if regions:
        _check_polygons(given, strata, areas.sum(0))
    kept = np.flatnonzero(per_tile.sum(0) > 0)
    wanted = np.zeros(len(names), int)
    wanted[kept] = _allocated(given, frame, strata, per_tile.sum(0)[kept], kept)
    if given.block is not None and (few := [n for n, k in zip(names, wanted > per_tile.sum(0), strict=True) if k]):
        raise InputError(
            f"stratum {few[0]!r} has fewer blocks than are to be drawn: lower --points, --minimum or --block"
        )
    places = draw.draw_points(strata, areas, wanted, rng) if given.block is None else blocks.draw(wanted, rng)
    found = draw.map_classes(frame, places, given.tolerance)
    drawn = np.flatnonzero(wanted).tolist()
    listed = [Stratum(names[k], float(per_tile[:, k].sum()), int(wanted[k]), tuple(classes[k])) for k in drawn]
    place_of = {k: i for i, k in enumerate(drawn)}
    moved = [draw.Place(place_of[p.stratum], p.unit, p.tile, p.row, p.col) for p in places]
    block = None if given.block is None else (given.block, given.block_points)
    kind = "points" if block is None else "blocks"
    design = Design(
        frame.digest, frame.record.title, kind, frame.classes, tuple(listed), tuple(by_class.tolist()),
        float(by_class.sum()), given.seed, given.tolerance, block, "",
    )  # fmt: skip
    return design, sample_table(moved, found, listed, frame.classes, rng)


def _without_slivers(strata: Strata, areas: np.ndarray) -> np.ndarray:
    """The areas [tiles, strata], 0 outside all polygons if next to nothing lies there: the pixels on their edges.

    As strata of their own they would take points, and where nobody can label them no estimate could be made.
    """
    by_part = areas.reshape(len(areas), len(strata.parts), -1)
    outside, total = float(by_part[:, -1].sum()), float(by_part.sum())
    if not 0 < outside < _SLIVER * total:
        return areas
    print(f"outside all polygons lie {outside:,.0f} m2 ({outside / total:.2%} of the map): left out of the sample")
    kept = by_part.copy()
    kept[:, -1] = 0
    return kept.reshape(areas.shape)


def _check_polygons(given: argparse.Namespace, strata: Strata, areas: np.ndarray) -> None:
    """Names polygons without mapped ground; raises `InputError` if no polygon has any."""
    by_part = areas.reshape(len(strata.parts), -1).sum(1)
    empty = [name for name, area in zip(strata.polygons, by_part, strict=False) if not area]
    if len(empty) == len(strata.polygons):
        raise InputError(
            f"no polygon of {given.polygons} holds mapped ground of {given.product}: give polygons of the mapped area, "
            "with the right CRS"
        )
    if empty:
        print(f"no mapped ground in {len(empty)} of {len(strata.polygons)} polygons: {', '.join(empty[:5])}")


def _allocated(
    given: argparse.Namespace, frame: Frame, strata: Strata, sizes_: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    weights = sizes_ / sizes_.sum()
    expected = _shares("--expected", given.expected)
    if len(expected) not in (1, len(frame.classes)):
        raise InputError(
            f"--expected={given.expected}: give one accuracy, or one per class ({', '.join(frame.classes)})"
        )
    total = given.points
    if total is None and given.block is not None:
        raise InputError("--block needs --points, the number of blocks: equation 13 is for independent points")
    if total is None:
        of_class = expected * len(frame.classes) if len(expected) == 1 else expected
        right = np.array([of_class[strata.map_class[k]] for k in kept])
        total = sizes.total_size(weights, right, given.target_se)
    return sizes.allocate(weights, total, given.minimum)


def _shares(flag: str, text: str) -> list[float]:
    try:
        return [_SHARE.parse(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"{flag}={text}: a share {error}") from None


if __name__ == "__main__":
    cli.run_command("sample")
