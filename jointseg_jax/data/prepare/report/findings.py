"""Measures what a prepared dataset holds, and names what would spoil a training or an evaluation."""

import dataclasses
import itertools
import pathlib
import re
from typing import Any

import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.data.prepare.recipe import strips
from jointseg_jax.data.prepare.report.content import signatures
from jointseg_jax.data.prepare.report.days import days, far_in_time, sensed
from jointseg_jax.data.prepare.site.registration import MOST_RESIDUAL, MOVED
from jointseg_jax.data.prepare.splits import CODES, SPLITS
from jointseg_jax.geo.reproject import transformer
from jointseg_jax.geo.shared_ground import TOUCHING, near, outline
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window

_SHARED, _FEWEST = 0.02, 20  # share and number of equal windows from which the content of two sites is the same
_FAR, _SITES = 5.0, 5  # deviation of a site's median that makes it an outlier, and sites needed to tell
_BINS = 48


@dataclasses.dataclass(frozen=True)
class SiteFindings:
    """What is measured at one site.

    Attributes:
        codes: of its splits, [height, width].
        classes: split -> counts of label values 0, 1 and 255 in m2.
        missing: share of its ground without a valid input (first date), and without image.
        medians: of the image bands in the input, in the units of the contract; NaN without valid pixels.
        values: a sample of them, [n, bands].
        windows: split -> signatures of its image, or of its input without an image.
    """

    codes: np.ndarray
    classes: dict[str, tuple[int, int, int]]
    missing: tuple[float, float]
    medians: np.ndarray
    values: np.ndarray
    windows: dict[str, np.ndarray]


def look_at(data: Dataset, site: Site) -> SiteFindings:
    """Reads the rasters of a site once, in strips."""
    scene, handles = data.scene(site.name), Handles()
    assert scene.image is not None
    classes = {split: np.zeros(3, int) for split in SPLITS}
    windows: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    seen = pictured = 0
    samples, codes = [], []
    primary = data.contract.primary
    layer = scene.layers[primary.name][0]
    bands = [primary.bands.index(band) for band in data.contract.image_bands]
    for window in strips(site.height, site.width):
        code = read_window(handles.get(str(data.root / site.split)), window)[0][..., 0]
        values, valid = layer.read(window, handles)
        fine = window.scale(FINE_FACTOR)
        label = read_window(handles.get(str(data.root / site.label)), fine)[0][..., 0]
        image, shown = (
            read_window(handles.get(str(data.root / site.image)), fine)[0],
            scene.image.read(fine, handles)[1],
        )
        fine_code = repeat_pixels(code, FINE_FACTOR)
        for split, number in CODES.items():
            there = label[fine_code == number]
            classes[split] += [(there == 0).sum(), (there == 1).sum(), (there == IGNORE).sum()]
            if shown.any():
                windows[split].append(signatures(image, shown & (fine_code == number)))
            else:
                windows[split].append(signatures(values, valid & (code == number)))
        seen += int(valid.sum())
        pictured += int(shown.sum())
        samples.append(values[valid][:, bands][::7])
        codes.append(code)
    handles.close()
    pixels = site.height * site.width
    sample = np.concatenate(samples)
    return SiteFindings(
        codes=np.concatenate(codes),
        classes={split: (int(c[0]), int(c[1]), int(c[2])) for split, c in classes.items()},
        missing=(1 - seen / pixels, 1 - pictured / (pixels * FINE_FACTOR**2)),
        medians=np.median(sample, 0) if len(sample) else np.full(len(bands), np.nan),
        values=sample,
        windows={split: np.unique(np.concatenate(parts)) for split, parts in windows.items()},
    )


def findings(data: Dataset, looked: dict[str, SiteFindings]) -> dict[str, Any]:
    """The report as JSON values; `problems` is empty for a dataset that is fit for use.

    Args:
        data: the dataset.
        looked: by site, see `look_at`.
    """
    leaks = [*_ground_leaks(data, looked), *_content_leaks(data, looked)]
    shifted = _shifted(data)
    empty = _empty_splits(data)
    problems = [f"leakage: {leak['text']}" for leak in leaks if leak["leak"]]
    problems += [f"registration: {text}" for text in shifted]
    problems += [f"empty split: {split} has a share but no patch" for split in empty]
    return {
        "name": data.description.get("name", ""),
        "licence": data.description.get("licence", ""),
        "provenance": data.description.get("provenance", ""),
        "attributions": _attributions(data),
        "label": data.contract.label,
        "problems": problems,
        "warnings": [*far_in_time(data), *(f"registration: {text}" for text in _shifted(data, radar=True))],
        "sites": [_about(data, site, looked[site.name]) for site in data.sites.values()],
        "patches": {split: int((data.index["split"] == split).sum()) for split in SPLITS},
        "balance": _balance(data, looked),
        "days": days(data),
        "leakage": [leak["text"] for leak in leaks if leak["leak"]],
        "duplicates": [leak["text"] for leak in leaks if not leak["leak"]],
        "outliers": _outliers(data, looked),
    }


def _about(data: Dataset, site: Site, found: SiteFindings) -> dict[str, Any]:
    lattice = data.scene(site.name).lattice
    corners = np.asarray(outline(lattice, "EPSG:4326").exterior.coords)
    return {
        "site": site.name,
        "region": site.region,
        "date": site.date,
        "dates": site.dates,
        "days": site.days,
        "km2": site.height * site.width / 1e4,
        "split_km2": {split: site.pixels.get(split, 0) / 1e4 for split in SPLITS},
        "outline": corners.round(6).tolist(),
        "without_input": round(found.missing[0], 4),
        "without_image": round(found.missing[1], 4),
        "medians": [None if np.isnan(m) else round(float(m), 5) for m in found.medians],
        "registration": {name: dataclasses.asdict(lies) for name, lies in site.registration.items()},
        "label_counts": site.label_counts,
        "trusted": None if site.gaps is None else round(1 - site.gaps.share(site.height, site.width).mean(), 4),
        "notes": list(site.notes),
    }


def _balance(data: Dataset, looked: dict[str, SiteFindings]) -> list[dict[str, Any]]:
    """Label area in km2 by region and split."""
    rows = []
    for region, split in itertools.product(dict.fromkeys(s.region for s in data.sites.values()), SPLITS):
        parts = [looked[s.name].classes[split] for s in data.sites.values() if s.region == region]
        other, built, unknown = (sum(part[i] for part in parts) for i in range(3))
        if other + built + unknown:
            share = built / (other + built) if other + built else None
            total = (other + built + unknown) / 1e6
            rows.append({"region": region, "split": split, "km2": total, "share": share, "unknown_km2": unknown / 1e6})
    return rows


def _ground_leaks(data: Dataset, looked: dict[str, SiteFindings]) -> list[dict[str, Any]]:
    """Pairs of sites that share ground: a leak where it lies in two splits."""
    lattices = {name: data.scene(name).lattice for name in data.sites}
    found = []
    for first, second in near(lattices, TOUCHING):
        a, b = data.sites[first], data.sites[second]
        rows, cols = np.nonzero(looked[first].codes)
        x, y = a.left + (cols + 0.5) * COARSE_SPACING, a.top - (rows + 0.5) * COARSE_SPACING
        if a.crs != b.crs:
            x, y = transformer(a.crs, b.crs).transform(x, y)
        col = np.floor((x - b.left) / COARSE_SPACING).astype(int)
        row = np.floor((b.top - y) / COARSE_SPACING).astype(int)
        inside = (row >= 0) & (row < b.height) & (col >= 0) & (col < b.width)
        there = looked[second].codes[row[inside], col[inside]]
        here = looked[first].codes[rows[inside], cols[inside]]
        apart = int(((there > 0) & (there != here)).sum())
        if apart:
            text = f"{apart / 1e4:.2f} km2 of ground at {first} and {second} lie in different splits"
            found.append({"leak": True, "text": text})
    return found


def _content_leaks(data: Dataset, looked: dict[str, SiteFindings]) -> list[dict[str, Any]]:
    """Equal pixels at two places: a leak between splits, a duplicate within one."""
    groups = [(name, split, windows) for name, f in looked.items() for split, windows in f.windows.items()]
    groups = [group for group in groups if len(group[2]) >= _FEWEST]
    if not groups:
        return []
    every = np.concatenate([windows for _, _, windows in groups])
    owner = np.repeat(np.arange(len(groups)), [len(windows) for _, _, windows in groups])
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    edges = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1], [True]]))
    shared: dict[tuple[int, int], int] = {}
    for start in np.flatnonzero(np.diff(edges) > 1).tolist():
        for pair in itertools.combinations(sorted(set(owner[edges[start] : edges[start + 1]].tolist()))[:20], 2):
            shared[pair] = shared.get(pair, 0) + 1
    found = []
    for (i, j), count in sorted(shared.items()):
        (first, of_first, a), (second, of_second, b) = groups[i], groups[j]
        share = count / min(len(a), len(b))
        if count >= _FEWEST and share >= _SHARED and (of_first != of_second or first != second):
            text = f"{share:.0%} of the image is the same at {first} ({of_first}) and {second} ({of_second})"
            found.append({"leak": of_first != of_second, "text": text})
    return found


def _shifted(data: Dataset, *, radar: bool = False) -> list[str]:
    """What lies off its reference by too much; of the radar alone, whose shift is less sure, or of all else."""
    found = []
    for site in data.sites.values():
        of_file = {
            pathlib.PurePosixPath(path).stem: modality
            for modality in data.contract.modalities
            for path in site.layers.get(modality.name, ())
        }
        for name, lies in site.registration.items():
            modality = of_file.get(name) or of_file.get(re.sub(r"_\d+$", "", name))  # a date that a composite holds
            most = MOST_RESIDUAL * (COARSE_SPACING if modality is None else modality.spacing)
            unsure = modality is not None and modality.units not in MOVED
            if lies.residual > most and unsure == radar:
                words = f"lies {lies.residual:.1f} m off {lies.reference}, more than {most:g} m"
                found.append(f"the {name} of {site.name} {words}")
    return found


def _empty_splits(data: Dataset) -> list[str]:
    """Splits that blocks should have filled, without a patch."""
    rule = data.description.get("split", {})
    if rule.get("by", "site") == "site":
        return []
    there = set(data.index["split"])
    return [split for split in SPLITS if rule.get("shares", {}).get(split) and split not in there]


def _outliers(data: Dataset, looked: dict[str, SiteFindings]) -> list[str]:
    """Sites whose medians lie far from those of the others, by the median absolute deviation."""
    medians = np.array([f.medians for f in looked.values()])
    if np.isfinite(medians).all(-1).sum() < _SITES:
        return []
    middle = np.nanmedian(medians, 0)
    spread = 1.4826 * np.nanmedian(np.abs(medians - middle), 0)
    far = np.abs(medians - middle) / np.maximum(spread, 0.02 * np.abs(middle) + 1e-9)
    return [
        f"{name}: {band} has a median of {value:.4g}, the others about {typical:.4g}"
        for name, row, distances in zip(looked, medians, far, strict=True)
        for band, value, typical, distance in zip(data.contract.image_bands, row, middle, distances, strict=True)
        if distance > _FAR
    ]


def _attributions(data: Dataset) -> list[str]:
    found = []
    if data.simulated is None and any(m.units == "reflectance" for m in data.contract.modalities):
        years = sorted({date[:4] for s in data.sites.values() for date in sensed(data, s) if date}) or ["year"]
        found.append(f"Contains modified Copernicus Sentinel data ({', '.join(years)})")
    if any(site.label_counts for site in data.sites.values()):
        found.append("Labels rasterised from vectors; for OpenStreetMap: (c) OpenStreetMap contributors, ODbL 1.0")
    return found


def histograms(data: Dataset, looked: dict[str, SiteFindings]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Edges [bands, bins + 1], and by site the share of its values by bin [bands, bins]."""
    every = np.concatenate([f.values[:: max(1, len(f.values) // 20_000)] for f in looked.values()])
    bands = len(data.contract.image_bands)
    if not len(every):
        return np.tile(np.linspace(0, 1, _BINS + 1), (bands, 1)), {}
    low, high = np.percentile(every, (0.2, 99.8), axis=0)
    edges = np.linspace(low, np.maximum(high, low + 1e-6), _BINS + 1).T
    shares = {
        name: np.array([np.histogram(f.values[:, b], edges[b])[0] / len(f.values) for b in range(bands)])
        for name, f in looked.items()
        if len(f.values)
    }
    return edges, shares


def windows_of(data: Dataset, split: str, count: int) -> list[tuple[Site, Window]]:
    """A few patches of a split, spread over the index."""
    rows = data.index[data.index["split"] == split]
    chosen = rows.iloc[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows
    return [
        (data.sites[row.site], Window(int(row.row), int(row.col), int(row.height), int(row.width)))
        for row in chosen.itertuples()
    ]
