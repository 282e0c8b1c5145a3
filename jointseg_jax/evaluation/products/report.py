"""The tables of a comparison, for the terminal and as Markdown."""

from collections.abc import Callable, Mapping
from typing import Any

from jointseg_jax.evaluation.compare import markdown, plain
from jointseg_jax.evaluation.products.agreement import SIDES
from jointseg_jax.evaluation.products.given import APART, Given

Rows = list[dict[str, str]]
_TITLES = (("precision", "P"), ("recall", "R"), ("f1", "F1"), ("iou", "IoU"), ("oa", "OA"), ("area_ratio", "area"))


def describe(given: Given, years: tuple[int, int] | None, cell: str) -> dict[str, Any]:
    """What the record says of a product."""
    product, apart = given.product, given.apart(years)
    return {
        "title": product.title,
        "ours": given.ours,
        "kind": product.kind,
        "year": given.year,
        "years_apart": apart,
        "flagged": apart is not None and apart > APART,
        "cell": cell,
        "threshold": given.threshold,
        "files": [str(f) for f in given.files],
        "counts": product.counts,
        "excludes": product.excludes,
        "citation": product.citation,
        "codes_from": product.source,
    }


def warnings(record: Mapping[str, Any]) -> list[str]:
    """Sentences on years that are unknown or far apart."""
    found = []
    for name, product in record["products"].items():
        if product["flagged"]:
            found.append(f"{name} shows {product['year']}, up to {product['years_apart']} years from the map: part of "
                         "the difference may be change")  # fmt: skip
        elif product["years_apart"] is None:
            whose = "the map" if record["map"]["years"] is None else name
            other = "NAME:FILE,built=1" if product["ours"] else f"{name}:FILE"
            how = "--year=YYYY" if whose == "the map" else f"--product={other},year=YYYY"
            found.append(f"the year of {whose} is unknown, so change since {name} cannot be told apart: give {how}")
    return found


def unjudged(record: Mapping[str, Any]) -> list[str]:
    """A sentence if nothing in the comparison says which map is right."""
    if record["reference"] or record["sample"]:
        return []
    return ["agreement does not say which map is right: for that give labelled ground (--reference), or draw a sample "
            "with `jointseg sample`, label it and give --sample and --answers"]  # fmt: skip


def terminal(record: Mapping[str, Any]) -> str:
    """All tables for a terminal."""
    return _document(record, plain, lambda title: f"\n{title}")


def document(record: Mapping[str, Any]) -> str:
    """All tables and the products' descriptions as Markdown."""
    parts = [f"# {record['map']['name']} and other products", _document(record, markdown, lambda t: f"\n## {t}\n")]
    parts.append("\n## The products\n")
    for name, product in record["products"].items():
        words = [f"**{name}**: {product['title']}, {product['kind']}, cells of {product['cell']}."]
        words += [f"Built: {product['counts']}."] if product["counts"] else []
        words += [f"Note: {product['excludes']}."] if product["excludes"] else []
        words += [f"{product['citation']}."] if product["citation"] else []
        parts.append(f"- {' '.join(words)}")
    return "\n".join(parts) + "\n"


def _document(record: Mapping[str, Any], table: Callable[[Rows], str], heading: Callable[[str], str]) -> str:
    lines = []
    if record["agreement"]:
        lines += [heading("Agreement"), table(_agreement(record))]
        lines += [heading("Built share, map minus the other, with 95 % intervals over blocks of 500 m")]
        lines += [table(_shares(record))]
        lines += [heading("Fractions (map minus product)"), table(_fractions(record))]
    if record["reference"]:
        lines += [heading("On labelled ground"), table(_scores(record["reference"]))]
        differences = _differences(record["reference"])
        if differences:
            lines += [heading("Map minus the other, with paired 95 % intervals"), table(differences)]
    if record["sample"]:
        lines += [heading("At the points of the sample"), table(_sampled(record["sample"]))]
        lines += [heading("Map minus the other by the sample, with paired 95 % intervals")]
        lines += [table(_sampled_differences(record["sample"]))]
    notes = [*warnings(record), *unjudged(record)]
    if notes:
        lines += [heading("Notes"), *(f"- {note}" for note in notes)]
    return "\n".join(lines)


def _agreement(record: Mapping[str, Any]) -> Rows:
    rows = []
    for region, members in record["agreement"].items():
        for name, found in members.items():
            matrix = found["matrix_km2"]
            rows.append({
                "region": region, "product": _title(record, name),
                "compared km2": _number(found["compared_km2"]), "map km2": _number(found["map_km2"]),
                "product km2": _number(found["product_fractions_km2"]), "both": _number(matrix["both"]),
                "only map": _number(matrix["only_map"]), "only product": _number(matrix["only_product"]),
                "neither": _number(matrix["neither"]), "F1": _number(found["f1"]),
                "agreement": _number(found["agreement"]),
            })  # fmt: skip
    return rows


def _shares(record: Mapping[str, Any]) -> Rows:
    rows = []
    for region, members in record["agreement"].items():
        for name, found in members.items():
            more = found["share_difference"]
            words = f"{_number(more['value'], '+.4f')} {_limits((more['low'], more['high']), '+.4f')}"
            rows.append(
                {"region": region, "product": _title(record, name), "share": words, "blocks": str(more["blocks"])}
            )
    return rows


def _fractions(record: Mapping[str, Any]) -> Rows:
    rows = []
    for region, members in record["agreement"].items():
        for name, found in members.items():
            for side, error in found["fraction"].items():
                cell = record["products"][name]["cell"] if side == "own" else f"{SIDES[side]:,} m"
                rows.append({
                    "region": region, "product": _title(record, name), "cells": cell, "number": f"{error['cells']:,}",
                    "bias": _number(error["bias"], "+.4f"), "RMSE": _number(error["rmse"], ".4f"),
                    "R2": _number(error["r2"], ".3f"),
                })  # fmt: skip
    return rows


def _scores(reference: Mapping[str, Any]) -> Rows:
    rows = []
    for region, group in reference["groups"].items():
        for name, found in group["maps"].items():
            interval = found["intervals"]["f1"]
            rows.append({
                "region": region, "map": name, "P": _number(found["precision"]), "R": _number(found["recall"]),
                "F1": _number(found["f1"]), "95 %": _limits(interval), "IoU": _number(found["iou"]),
                "macro F1": _number(found["macro_f1"]), "OA": _number(found["oa"]),
                "area": _number(found["area_ratio"]), "km2": _number(group["km2"]),
            })  # fmt: skip
    return rows


def _differences(reference: Mapping[str, Any]) -> Rows:
    rows = []
    for region, group in reference["groups"].items():
        for name, found in group["differences"].items():
            cells = {
                title: f"{_number(found[key]['value'], '+.3f')} {_limits((found[key]['low'], found[key]['high']))}"
                for key, title in (("f1", "F1"), ("oa", "OA"), ("iou", "IoU"), ("area_ratio", "area"))
            }
            rows.append({"region": region, "other": name, "blocks": str(found["blocks"]), **cells})
    return rows


def _sampled(sample: Mapping[str, Any]) -> Rows:
    return [
        {"map": name}
        | {title: f"{_number(found[key]['value'])} ± {_number(found[key]['se'])}" for key, title in _TITLES}
        for name, found in sample["maps"].items()
    ]


def _sampled_differences(sample: Mapping[str, Any]) -> Rows:
    return [
        {"other": name, "discordant": str(found["discordant"])}
        | {title: f"{_number(found[key]['value'], '+.3f')} {_limits((found[key]['low'], found[key]['high']))}"
           for key, title in _TITLES}
        for name, found in sample["differences"].items()
    ]  # fmt: skip


def _title(record: Mapping[str, Any], name: str) -> str:
    product = record["products"][name]
    year = "" if product["year"] is None else f" {product['year']}"
    return f"{name}{year}{' (!)' if product['flagged'] else ''}"


def _number(value: float | None, how: str = ".3f") -> str:
    return "-" if value is None else f"{value:{how}}"


def _limits(limits: tuple[float | None, float | None] | list[float] | None, how: str = ".3f") -> str:
    if limits is None or limits[0] is None or limits[1] is None:
        return "-"
    return f"[{limits[0]:{how}}, {limits[1]:{how}}]"
