"""`estimate --counts --areas`: any usual shape of the tables, one meaning."""

import json
import re

import pytest

from jointseg_jax.commands.estimate import main
from jointseg_jax.evaluation.accuracy.matrix_files import read_matrix

pytestmark = pytest.mark.quick

NAMES = ["low", "high"]
COUNTS = [[90, 10], [3, 47]]
MATRICES = {
    "names on both sides": "map,low,high\nlow,90,10\nhigh,3,47\n",
    "semicolons, blank corner": ";low;high\nlow;90;10\nhigh;3;47\n",
    "another order of columns": "map,high,low\nlow,10,90\nhigh,47,3\n",
    "totals": "map,low,high,Total\nlow,90,10,100\nhigh,3,47,50\nTotal,93,57,150\n",
    "names above": "low,high\n90,10\n3,47\n",
    "names at the left": "low,90,10\nhigh,3,47\n",
    "no names": "90,10\n3,47\n",
    "whole floats": "90.0,10.0\n3.0,47.0\n",
}
AREAS = {
    "by name": "class,area\nhigh,5.5\nlow,94.5\n",
    "other letters": "HIGH;5.5\nLow;94.5\n",
    "with a total": "low,94.5\nhigh,5.5\ntotal,100\n",
    "in order": "area\n94.5\n5.5\n",
    "bare": "94.5\n5.5\n",
    "one line": "94.5,5.5\n",
}


def written(folder, matrix, areas):
    (folder / "m.csv").write_text(matrix)
    (folder / "a.csv").write_text(areas)
    return folder / "m.csv", folder / "a.csv"


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("areas", AREAS)
def test_shapes_of_the_tables(tmp_path, matrix, areas):
    names, counts, mapped = read_matrix(*written(tmp_path, MATRICES[matrix], AREAS[areas]))
    assert counts.tolist() == COUNTS
    nameless = matrix in ("no names", "whole floats")
    if nameless and areas in ("by name", "other letters"):  # the areas name the classes, in their order
        assert ([n.lower() for n in names], mapped.tolist()) == (NAMES[::-1], [5.5, 94.5])
        return
    assert mapped.tolist() == [94.5, 5.5]
    assert names == NAMES or nameless


def test_names_that_are_numbers(tmp_path):
    for corner in ("", "map"):
        matrix = f"{corner},0,1\n0,90,10\n1,3,47\n"
        names, counts, mapped = read_matrix(*written(tmp_path, matrix, "1,5.5\n0,94.5\n"))
        assert (names, counts.tolist(), mapped.tolist()) == (["0", "1"], COUNTS, [94.5, 5.5])


@pytest.mark.parametrize(
    ("matrix", "areas", "sentence"),
    [
        (
            "90,-10\n3,47\n",
            "94\n5\n",
            r"m.csv has '-10' in row 'class 1', column 'class 2': a count cannot be negative",
        ),
        ("90,1e25\n3,47\n", "94\n5\n", r"'1e25' .*: give counts of labelled sample units, at most 1,000,000,000 each"),
        ("90,10\n3,47\n", "1e308\n1e308\n", r"has the area '1e308' for 'class 1': give a positive number"),
        ("90,nan\n3,47\n", "94\n5\n", r"'nan' .*: give a number of sample units"),
        ("low,high\n90,\n3,47\n", "94\n5\n", r"'' in row 'low', column 'high': give a number"),
        ("0.9,0.1\n0.05,0.95\n", "94\n5\n", r"'0.9' .*: counts are whole numbers of sample units, not shares"),
        ("90,10\n1,0\n", "94\n5\n", r"has 1 sample units in map class 'class 2': .* at least two"),
        ("m,low,high\nlow,90,10\nmid,3,47\n", "94\n5\n", r"no class 'mid' in its columns \(reference\)"),
        ("m,low,high,mid\nlow,90,10,1\nhigh,3,47,2\n", "94\n5\n", r"no class 'mid' in its rows \(map\)"),
        ("90,10,4\n3,47,5\n", "94\n5\n", r"has 2 rows but 3 columns"),
        ("m,low\nlow,90\n", "94\n", r"has one class"),
        ("m,low,low\nlow,9,9\nlow,9,9\n", "94\n5\n", r"names the class 'low' twice"),
        ("m,low,high,total\nlow,90,10,99\nhigh,3,47,50\n", "94\n5\n", r"a row that does not add up to its total 99"),
        ("90,10\n3,47\n", "94\n0\n", r"a.csv has the area '0' for 'class 2': give a positive number"),
        ("90,10\n3,47\n", "94\n-5\n", r"the area '-5'"),
        ("90,10\n3,47\n", "94\nnan\n", r"the area 'nan'"),
        ("90;10\n3;47\n", "low;94,5\nhigh;5\n", r"the area '94,5' .* decimal point"),
        ("90,10\n3,47\n", "94\n5\n1\n", r"a.csv has 3 areas, but .*m.csv has 2 classes"),
        ("m,low,high\nlow,90,10\nhigh,3,47\n", "low,94\nother,5\n", r"a.csv has no area of class 'high'"),
        ("90,10\n3\n", "94\n5\n", r"has 1 cells in line 2, but 2 in its first line"),
        ("", "94\n5\n", r"m.csv is empty"),
        (None, "94\n5\n", r"m.csv does not exist: correct the path"),
    ],
)
def test_bad_tables_get_one_sentence(tmp_path, capsys, matrix, areas, sentence):
    counts, mapped = written(tmp_path, matrix or "", areas)
    if matrix is None:
        counts.unlink()
    assert main([f"--counts={counts}", f"--areas={mapped}", f"--json={tmp_path / 'o.json'}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(sentence, said), said
    assert not (tmp_path / "o.json").exists()


def test_the_record(tmp_path, capsys):
    counts, areas = written(tmp_path, MATRICES["names on both sides"], AREAS["by name"])
    out = tmp_path / "o.json"
    for interval in ("wald", "bayes"):  # the second replaces the first
        assert main([f"--counts={counts}", f"--areas={areas}", f"--json={out}", f"--interval={interval}"]) == 0
        record = json.loads(out.read_text())
        assert record["interval"] == interval
        for figure in (
            record["overall_accuracy"],
            *(record[k][c] for k in ("users", "producers", "area") for c in NAMES),
        ):
            assert figure.keys() == {"value", "se", "low", "high"}
            assert figure["low"] < figure["value"] < figure["high"]
    assert record["users"]["low"]["value"] == pytest.approx(0.9)
    assert sum(record["area"][c]["value"] for c in NAMES) == pytest.approx(100)
    assert record["bias"]["high"] == pytest.approx(5.5 - record["area"]["high"]["value"])
    assert "overall accuracy  0.90" in capsys.readouterr().out


def test_nothing_else_is_overwritten(tmp_path, capsys):
    counts, areas = written(tmp_path, MATRICES["no names"], AREAS["bare"])
    other = tmp_path / "notes.json"
    other.write_text("{}")
    for path in (other, counts):
        assert main([f"--counts={counts}", f"--areas={areas}", f"--json={path}"]) == 2
    assert other.read_text() == "{}"
    assert main([f"--counts={counts}"]) == 2
    assert "--counts and --areas are needed" in capsys.readouterr().err
