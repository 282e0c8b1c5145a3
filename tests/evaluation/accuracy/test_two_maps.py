"""Two maps at the points of one sample: figures by the weights, differences in pairs."""

import csv
import json

import numpy as np
import pytest
import rasterio
from known_ground import SHAPE

from jointseg_jax.commands import compare_products, sample
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster

NAMES = ("pervious", "impervious")


@pytest.fixture(scope="module", params=["points", "blocks"])
def drawn(request, known_product, tmp_path_factory):
    """A design, answers that differ from the map in places, and another map whose first tile is absent."""
    folder = tmp_path_factory.mktemp("maps")
    kind = {"points": ["--points=300"], "blocks": ["--block=50", "--points=40", "--minimum=2", "--density=0.05"]}
    given = [f"--product={known_product}", f"--output={folder / 'design'}", "--no-page", *kind[request.param]]
    assert sample.main(given) == 0
    rng = np.random.default_rng(0)
    with (folder / "design" / "sample.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['id']},{NAMES[NAMES.index(row['map_class']) ^ (rng.random() < 0.15)]}" for row in rows]
    (folder / "answers.csv").write_text("\n".join(["id,class", *lines]) + "\n")
    for number in (1, 2):
        path = known_product / "tiles" / f"50N_{number:04d}_0340" / "impervious.tif"
        with rasterio.open(path) as raster:
            classes = raster.read(1)
        flipped = np.where((rng.random(SHAPE) < 0.1) & (classes != 255), 1 - classes, classes).astype(np.uint8)
        lattice = make_lattice("EPSG:32650", 500_000 + 1000 * number, 3_400_000, 1, *SHAPE)
        write_raster(folder / "other" / f"{number}.tif", flipped, Layout(lattice, "uint8", ("impervious",), 255))
    return folder, rows


def run(folder, product, *others):
    arguments = [f"--sample={folder / 'design'}", f"--answers={folder / 'answers.csv'}", f"--output={folder / 'out'}"]
    assert compare_products.main([str(product), *others, *arguments]) == 0
    return json.loads((folder / "out" / "comparison.json").read_text())["sample"]


def at_points(folder, rows):
    """Classes of the other map at the points, -1 where it is absent; and the answers."""
    answers = dict(line.split(",") for line in (folder / "answers.csv").read_text().split()[1:])
    found = np.full(len(rows), -1)
    for number in (1, 2):
        with rasterio.open(folder / "other" / f"{number}.tif") as raster:
            classes = raster.read(1)
        for at, row in enumerate(rows):
            r, c = int(3_400_000 - float(row["y"])), int(float(row["x"]) - 500_000 - 1000 * number)
            if 0 <= c < SHAPE[1] and 0 <= r < SHAPE[0] and classes[r, c] != 255:
                found[at] = classes[r, c]
    return found, np.array([NAMES.index(answers[row["id"]]) for row in rows])


def f1(mapped, truth, weight):
    return 2 * (weight * mapped * truth).sum() / (weight * (mapped + truth)).sum()


def test_the_difference_of_two_maps(drawn, known_product, capsys):
    folder, rows = drawn
    found = run(folder, known_product, f"--product=other:{folder / 'other'},built=1,year=2021")
    assert "Map minus the other by the sample" in capsys.readouterr().out
    other, truth = at_points(folder, rows)
    own = np.array([NAMES.index(row["map_class"]) for row in rows])
    weight = np.array([float(row["weight"]) for row in rows]) * (other >= 0)
    difference = found["differences"]["other"]
    assert 0 < found["known_to_all"] == (other >= 0).sum() < len(rows)
    assert difference["discordant"] == ((other >= 0) & (own != other)).sum()
    right = (own == truth).astype(float) - (other == truth)
    expected = (weight * right).sum() / weight.sum()
    assert difference["oa"]["value"] == pytest.approx(expected)
    assert difference["f1"]["value"] == pytest.approx(f1(own, truth, weight) - f1(other, truth, weight))
    assert found["maps"]["product"]["f1"]["value"] == pytest.approx(f1(own, truth, weight))
    assert difference["oa"]["low"] < expected < difference["oa"]["high"]
    resampled = bootstrap(rows, weight, own, other, truth)
    assert difference["f1"]["se"] == pytest.approx(resampled, rel=0.2)
    alone = [found["maps"][name]["f1"]["se"] for name in ("product", "other")]
    assert difference["f1"]["se"] < np.hypot(*alone)


def bootstrap(rows, weight, own, other, truth):
    """Standard error of the difference of F1 over samples of units drawn within strata."""
    rng = np.random.default_rng(0)
    strata = {}
    for at, row in enumerate(rows):
        strata.setdefault(row["stratum"], {}).setdefault(row["unit"], []).append(at)
    values = []
    for _ in range(400):
        chosen = []
        for units in strata.values():
            names = list(units)
            for pick in rng.integers(0, len(names), len(names)):
                chosen += units[names[pick]]
        at = np.array(chosen)
        values.append(f1(own[at], truth[at], weight[at]) - f1(other[at], truth[at], weight[at]))
    return np.std(values)


def test_a_map_does_not_differ_from_itself(drawn, known_product, tmp_path):
    folder, _ = drawn
    (tmp_path / "again").symlink_to(known_product)
    found = run(folder, known_product, f"--other={tmp_path / 'again'}")
    assert found["differences"]["again"]["f1"] == {"value": 0, "se": 0, "low": 0, "high": 0}
    assert found["differences"]["again"]["discordant"] == 0


def test_a_sample_needs_its_answers(drawn, known_product, capsys):
    folder, _ = drawn
    given = [str(known_product), f"--product=other:{folder / 'other'},built=1", f"--sample={folder / 'design'}"]
    assert compare_products.main(given) == 2
    assert "belong together" in capsys.readouterr().err
