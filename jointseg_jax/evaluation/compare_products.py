"""Compares a map with other products of built or impervious ground, and with another map of ours.

`jointseg compare-products` is its command.
"""

import argparse
import contextlib
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.catalogue import CATALOGUE
from jointseg_jax.evaluation.products.compare_maps import compare
from jointseg_jax.evaluation.products.given import Given, parse, read_list
from jointseg_jax.evaluation.products.labelled import judge, read_grounds
from jointseg_jax.evaluation.products.layer import Layer
from jointseg_jax.evaluation.products.maps import OurMap, read_map
from jointseg_jax.evaluation.products.regions import Regions
from jointseg_jax.evaluation.products.report import describe, document, terminal
from jointseg_jax.evaluation.products.sampled import judge_sample
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage.files import write_json, write_text
from jointseg_jax.storage.folders import claim

RECORD, DOCUMENT = "comparison.json", "comparison.md"


def compare_products(
    ours: OurMap,
    products: Sequence[Given],
    *,
    reference: str | os.PathLike[str] | None = None,
    split: str = "test",
    sample: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    regions: Regions | None = None,
    output: str | os.PathLike[str] | None = None,
    rasters: bool = False,
    announce: Callable[[list[str]], None] = lambda names: None,
) -> dict[str, Any]:
    """Compares a map with products, on all its ground and on labelled ground.

    Args:
        ours: see `maps.read_map`.
        products: see `given.parse`; other maps of ours among them.
        reference: dataset or raster of labels; None for none.
        split: of the dataset.
        sample: folder of a probability sample and answers to it, see `sampled.judge_sample`; None for none.
        regions: see `regions.Regions`.
        output, rasters, announce: see `compare_maps.compare`.

    Returns:
        The record that `comparison.json` holds; docs/products.md describes it.

    Raises:
        InputError: see `compare_maps.compare` and `labelled.judge`.
    """
    grounds = read_grounds(reference, split) if reference is not None else []
    with contextlib.closing(Handles()) as handles:
        cells = {given.name: Layer(given, handles).cell for given in products}
    folder = pathlib.Path(output) if output is not None else None
    record: dict[str, Any] = {
        "map": {"name": ours.name, "files": [str(f) for f, _ in ours.files], "years": ours.years},
        "products": {given.name: describe(given, ours.years, cells[given.name]) for given in products},
        "agreement": compare(ours, products, regions, folder, rasters=rasters, announce=announce),
        "reference": {},
        "sample": judge_sample([ours.product(), *products], *map(pathlib.Path, sample)) if sample else {},
    }
    if grounds:
        groups = judge([ours.product(), *products], grounds, regions)
        record["reference"] = {"path": str(reference), "split": split if grounds[0].split else None, "groups": groups}
    return record


def compare_given(given: argparse.Namespace) -> None:
    """Compares what the flags name, prints the tables and writes the files.

    Args:
        given: the flags of `commands.compare_products`.

    Raises:
        InputError: they do not fit each other, or a file cannot be used.
    """
    if given.map is None:
        raise InputError("no map is given: name the folder that jointseg predict wrote, or a raster of classes")
    if given.rasters and given.output is None:
        raise InputError("--rasters needs a folder: give --output=DIR")
    if (given.sample is None) != (given.answers is None):
        raise InputError("--sample and --answers belong together: give the folder of the design and the answers to it")
    ours = read_map(given.map, given.year)
    products = _products(given, ours)
    regions = Regions(given.regions, given.name) if given.regions is not None else None
    sample = None if given.sample is None else (given.sample, given.answers)
    options = {"reference": given.reference, "split": given.split, "sample": sample, "regions": regions}
    if given.output is None:
        print(terminal(compare_products(ours, products, **options)))
        return
    inputs = [given.map, *given.other, *(f for p in products for f in p.files)]
    inputs += [
        path
        for path in (given.reference, given.sample, given.answers, given.regions, given.products)
        if path is not None
    ]
    with claim(given.output, "comparison of maps", names=[RECORD, DOCUMENT], inputs=inputs, others="refuse") as taken:
        record = compare_products(
            ours, products, **options, output=given.output, rasters=given.rasters, announce=taken.announce
        )
        write_json(given.output / RECORD, record)
        write_text(given.output / DOCUMENT, document(record))
    print(terminal(record))
    print(f"\nwritten to {given.output}")


def _products(given: Any, ours: OurMap) -> list[Given]:
    products = [parse(text, ours.years) for text in given.product]
    if given.products is not None:
        products += read_list(given.products, ours.years)
    products += [read_map(path).product() for path in given.other]
    if not products:
        raise InputError("nothing is given to compare with: add --product=NAME:FILE or --other=MAP (--list names the "
                         "known products)")  # fmt: skip
    names = [ours.name, *(p.name for p in products)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two maps have the name {twice[0]!r}: give one another name, as in --product=other:FILE,built=1"
        )
    return products


def catalogue() -> str:
    """The table of known products, in words."""
    blocks = []
    for product in CATALOGUE.values():
        first, last = product.years or (None, None)
        years = "" if first is None else f", {first} to {'now' if last is None else last}"
        lines = [f"{product.name}: {product.title} ({product.kind}{years})", f"  grid      {product.grid}"]
        lines += [f"  built     {product.counts}", f"  note      {product.excludes}", f"  citation  {product.citation}"]
        lines += [f"  codes     {product.source}"] if product.source else []
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


if __name__ == "__main__":
    cli.run_command("compare-products")
