"""From a drawn sample and its answers to estimates, and to the records of the product."""

import csv
import json
import shutil
import threading

import geopandas
import numpy as np
import pytest
from known_ground import card

from jointseg_jax.commands import estimate, sample
from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records import assessment
from jointseg_jax.mapping.records.assessment import KEY, frame_digest, kept_assessment
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.storage.files import write_json

NAMES = ("pervious", "impervious")


@pytest.fixture(scope="module")
def design(known_product, tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimate") / "design"
    assert sample.main([f"--product={known_product}", f"--output={folder}", "--points=120", "--no-page"]) == 0
    return folder


@pytest.fixture(scope="module")
def blocks(known_product, tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimate") / "blocks"
    given = [
        f"--product={known_product}",
        f"--output={folder}",
        "--block=50",
        "--points=40",
        "--minimum=2",
        "--no-page",
    ]
    assert sample.main([*given, "--density=0.05"]) == 0
    return folder


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def answered(folder, path, wrong=7, without=(), **more):
    """Answers of someone who differs from the map at every seventh point."""
    lines = [",".join(["id", "class", *more])]
    for number, row in enumerate(table(folder / "sample.csv")):
        if row["id"] not in without:
            own = NAMES.index(row["map_class"]) ^ (number % wrong == 0)
            lines.append(",".join([row["id"], NAMES[own], *(str(row.get(k, v)) for k, v in more.items())]))
    path.write_text("\n".join(lines) + "\n")
    return path


def run(folder, answers, out, *flags):
    status = estimate.main([f"--design={folder}", f"--answers={answers}", f"--json={out}", *flags])
    return status, json.loads(out.read_text()) if status == 0 else None


def test_estimates_are_those_of_the_weights(design, tmp_path):
    answers = answered(design, tmp_path / "a.csv", stratum="", weight="")
    status, found = run(design, answers, tmp_path / "o.json", f"--labels={tmp_path / 'p.gpkg'}")
    assert status == 0
    rows = table(design / "sample.csv")
    weights = np.array([float(row["weight"]) for row in rows])
    wrong = np.arange(len(rows)) % 7 == 0
    assert found["overall_accuracy"]["value"] == pytest.approx(weights[~wrong].sum() / weights.sum())
    truth = np.array([NAMES.index(row["map_class"]) for row in rows]) ^ wrong
    assert found["area"]["impervious"]["value"] == pytest.approx(weights[truth == 1].sum())
    assert found["mapped_area"]["impervious"] == pytest.approx(
        weights[[row["map_class"] == "impervious" for row in rows]].sum()
    )
    assert found["sample"]["response"]["impervious"] == {"points": 50, "answered": 50}
    labels = geopandas.read_file(tmp_path / "p.gpkg")
    labels[["geometry"]].to_file(tmp_path / "other.gpkg")
    for name, expected in (("p", 0), ("other", 2)):  # an earlier output is replaced, nothing else
        assert run(design, answers, tmp_path / "o.json", f"--labels={tmp_path / name}.gpkg")[0] == expected
    assert (len(labels), labels.crs.to_epsg()) == (len(rows), 4326)
    assert labels.set_index("id").loc[rows[3]["id"], "class"] == NAMES[truth[3]]


def test_the_tolerance_forgives_errors_at_edges(design, tmp_path):
    rows = table(design / "sample.csv")
    edge = next(row["id"] for row in rows if ";" in row["near"])
    path = tmp_path / "a.csv"
    other = {
        row["id"]: NAMES[1 - NAMES.index(row["map_class"])] if row["id"] == edge else row["map_class"] for row in rows
    }
    path.write_text("id,class\n" + "".join(f"{k},{v}\n" for k, v in other.items()))
    _, found = run(design, path, tmp_path / "o.json")
    assert found["overall_accuracy"]["value"] < 1
    assert found["tolerance"]["overall_accuracy"]["value"] == 1
    path.write_text("id,class\n" + "".join(f"{row['id']},{row['map_class']}\n" for row in rows))
    _, right = run(design, path, tmp_path / "right.json")
    assert found["tolerance"]["overall_accuracy"] == right["overall_accuracy"]  # interval included


def test_points_without_an_answer_are_reported(design, tmp_path, capsys):
    rows = table(design / "sample.csv")
    without = [row["id"] for row in rows if row["map_class"] == "impervious"][:10]
    _, found = run(design, answered(design, tmp_path / "a.csv", without=without), tmp_path / "o.json")
    assert found["sample"]["response"]["impervious"] == {"points": 50, "answered": 40}
    assert "no answer: 10 of 50 in impervious" in capsys.readouterr().out
    assert found["overall_accuracy"]["se"] > 0


def test_two_interpreters(design, tmp_path):
    first = answered(design, tmp_path / "a.csv")
    second = answered(design, tmp_path / "b.csv", wrong=5)
    _, found = run(design, first, tmp_path / "o.json", f"--second={second}")
    both = found["sample"]["agreement"]
    numbers = np.arange(120)
    differ = (numbers % 7 == 0) != (numbers % 5 == 0)
    rows = table(design / "sample.csv")
    assert both["differing"] == [row["id"] for row, d in zip(rows, differ, strict=True) if d]
    weights = np.array([float(row["weight"]) for row in rows])
    assert both["share"] == pytest.approx(weights[~differ].sum() / weights.sum())
    assert 0 < both["kappa"] < 1


def test_blocks_have_wider_intervals_than_their_points(blocks, tmp_path):
    _, found = run(blocks, answered(blocks, tmp_path / "a.csv"), tmp_path / "o.json")
    assert found["sample"]["kind"] == "blocks"
    for figure in (found["overall_accuracy"], *found["area"].values()):
        assert figure["low"] < figure["value"] < figure["high"]
    share = found["area"]["impervious"]["value"] / found["area_total"]
    points = len(table(blocks / "sample.csv"))
    assert found["area"]["impervious"]["se"] / found["area_total"] > (share * (1 - share) / points) ** 0.5


def test_poststratification_by_the_mapped_area(blocks, tmp_path):
    answers = answered(blocks, tmp_path / "a.csv")
    _, plain = run(blocks, answers, tmp_path / "o.json")
    _, scaled = run(blocks, answers, tmp_path / "o.json", "--poststratify")
    rows = np.array(scaled["proportions"]).sum(1)
    mapped = np.array(list(scaled["mapped_area"].values()))
    np.testing.assert_allclose(rows, mapped / mapped.sum())
    assert scaled["area"]["impervious"]["se"] < plain["area"]["impervious"]["se"]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda t: t + "999,pervious,,\n", "has an answer to id '999', which the sample lacks"),
        (lambda t: t + t.splitlines()[1] + "\n", "twice: keep one answer"),
        (lambda t: t.replace("impervious,impervious", "lake,impervious", 1), "has the class 'lake'"),
        (lambda t: t.replace(",impervious,1", ",impervious,9", 1), "has the weight '9"),
        (lambda t: t.replace("pervious,pervious", "pervious,impervious", 1), "has the stratum 'impervious' for id"),
        (lambda t: "id,class\n", "has no answer"),
        (lambda t: "id,class,sample\n" + t.splitlines()[1].split(",")[0] + ",pervious,0123\n", "has the sample '0123'"),
        (lambda t: "\n".join(t.splitlines()[:2]) + "\n", "answered units of"),
        (lambda t: t.replace("id,class", "id,label", 1), "lacks the columns ['class']"),
    ],
)
def test_answers_that_do_not_match_are_refused(design, tmp_path, capsys, edit, sentence):
    path = answered(design, tmp_path / "a.csv", wrong=1000, stratum="", weight="")
    path.write_text(edit(path.read_text()))
    assert run(design, path, tmp_path / "o.json")[0] == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_without_a_design_nothing_is_estimated(design, tmp_path, capsys):
    path = answered(design, tmp_path / "a.csv", map_class="")
    assert estimate.main([f"--answers={path}", f"--json={tmp_path / 'o.json'}"]) == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["descriptive"]
    assert not {"overall_accuracy", "users", "area", "interval"} & set(found)
    assert "descriptive only" in capsys.readouterr().out
    assert estimate.main([f"--answers={path}", f"--second={path}"]) == 2
    assert "--second needs a sample: give its folder with --design" in capsys.readouterr().err


def test_the_outcome_goes_into_the_records_and_stays(design, known_product, tmp_path, capsys):
    product = tmp_path / "product"
    shutil.copytree(known_product, product)
    answers = answered(design, tmp_path / "a.csv")
    status, found = run(design, answers, tmp_path / "o.json", f"--product={product}")
    assert status == 0
    rows = {t.tile: row for t, row in zip(read_product(product).tiles, ledger(product), strict=True)}
    write_records(product, rows, card(), title="Known ground", say=print)
    for name, place in (("collection.json", lambda r: r), ("model.json", lambda r: r["properties"])):
        stated = place(json.loads((product / name).read_text()))[KEY]
        assert stated["overall_accuracy"] == found["overall_accuracy"]
        assert stated["sample"]["seed"] == 0
    collection = json.loads((product / "collection.json").read_text())
    assert collection["assets"]["accuracy"]["href"] == "./accuracy.json"
    # Another map keeps no figures of this one.
    rows["50N_0000_0340"]["files"]["impervious"]["sha256"] = "0" * 64
    assert kept_assessment(product, parse_rows(rows), print) == {}
    assert "of another state of the map" in capsys.readouterr().out
    write_records(product, rows, card(), title="Known ground", say=print)
    assert KEY not in json.loads((product / "collection.json").read_text())
    assert run(design, answers, tmp_path / "o.json", f"--product={product}")[0] == 2
    assert "was drawn from another map" in capsys.readouterr().err


def ledger(product):
    """The ledger's rows, from the items."""
    from jointseg_jax.storage import typed

    return [
        {**typed.plain({k: v for k, v in vars(t).items() if k != "datetime"}), "datetime": t.datetime.isoformat()}
        for t in read_product(product).tiles
    ]


def test_of_two_estimates_at_once_the_records_state_one(known_product, design, tmp_path, monkeypatch):
    """The second begins while the first is half done."""
    product = shutil.copytree(known_product, tmp_path / "product")
    frame = frame_digest(read_product(product).tiles)
    outcomes = [
        run(design, answered(design, tmp_path / f"{wrong}.csv", wrong), tmp_path / f"{wrong}.json")[1]
        for wrong in (7, 3)
    ]
    second = threading.Thread(target=assessment.add_assessment, args=(product, outcomes[1], frame))
    begun = []

    def write(path, record):
        if not begun:
            begun.append(second.start())
            second.join(0.3)
        write_json(path, record)

    monkeypatch.setattr(assessment, "write_json", write)
    assessment.add_assessment(product, outcomes[0], frame)
    second.join(60)
    stated = [
        json.loads((product / "accuracy.json").read_text())["outcome"],
        json.loads((product / "collection.json").read_text())[KEY],
        json.loads((product / "model.json").read_text())["properties"][KEY],
    ]
    assert [one["overall_accuracy"] for one in stated] == [outcomes[1]["overall_accuracy"]] * 3
    assert outcomes[0]["overall_accuracy"] != outcomes[1]["overall_accuracy"]
