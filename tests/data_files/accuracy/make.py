"""Writes peers.json with two independent packages: satscout 0.1.0 and lulc-validation 0.0.4 (which needs pandas).

Only the figures are stored, so the tests need neither package.
"""

import json
import pathlib

import numpy as np
import pandas as pd
from lulc_validation.lulc_val import StratVal
from satscout.olofsson import assess

rng = np.random.default_rng(2014)


def digits(values):
    return [float(f"{v:.10g}") for v in values]


def by_satscout(counts, areas):
    """Value and standard error: overall, then user's, producer's, area of every class."""
    found = assess(counts.tolist(), areas.tolist(), z=1.0)
    value = [found.overall_accuracy, *found.users, *found.producers, *found.adjusted_areas]
    return digits(value), digits([found.overall_se, *found.users_se, *found.producers_se, *found.adjusted_areas_se])


def by_lulc(cells, sizes):
    """The same without area, from single units, with finite population correction; cells [strata, map, reference]."""
    rows = [(h, i, j) for (h, i, j), n in np.ndenumerate(cells) for _ in range(n)]
    strata, classes = list(range(len(cells))), list(range(cells.shape[1]))
    table = pd.DataFrame(rows, columns=["h", "m", "r"])
    peer = StratVal(strata, classes, sizes.tolist(), table, "h", "r", "m")
    value = [peer.accuracy(), *peer.users_accuracy().values(), *peer.producers_accuracy().values()]
    return digits(value), digits([peer.accuracy_se(), *peer.users_accuracy_se().values(),
                                  *peer.producers_accuracy_se().values()])  # fmt: skip


def main():
    matrices, strata = [], []
    while len(matrices) < 200:
        classes = int(rng.integers(2, 6))
        counts = rng.poisson(rng.gamma(0.7, 4, (classes, classes)) + np.eye(classes) * rng.uniform(1, 30, classes))
        sizes = np.round(10 ** rng.uniform(3, 7, classes)).astype(int)
        if (counts.sum(1) < 2).any() or (counts.sum(0) < 1).any() or (counts.sum(1) > sizes).any():
            continue
        own = (np.eye(classes)[:, :, None] * counts[:, None, :]).astype(int)
        matrices.append([counts.tolist(), sizes.tolist(), by_satscout(counts, sizes), by_lulc(own, sizes)])
    while len(strata) < 50:
        classes, number = int(rng.integers(2, 4)), int(rng.integers(1, 5))
        cells = rng.poisson(rng.gamma(0.7, 3, (number, classes, classes)) + 3 * np.eye(classes))
        sizes = np.round(10 ** rng.uniform(2.5, 5, number)).astype(int)
        total = cells.sum((1, 2))
        if (total < 2).any() or (cells.sum((0, 1)) < 1).any() or (cells.sum((0, 2)) < 1).any() or (total > sizes).any():
            continue
        strata.append([cells.tolist(), sizes.tolist(), by_lulc(cells, sizes)])
    text = json.dumps({"matrices": matrices, "strata": strata}, separators=(",", ":")).replace("],[[[", "],\n[[[")
    pathlib.Path(__file__).with_name("peers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
