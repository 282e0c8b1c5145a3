"""What features say of themselves: tags in any packing, and widths as people write them."""

import numpy as np
import pandas as pd
import pytest

from jointseg_jax.data.prepare.labels.tags import tags_of
from jointseg_jax.data.prepare.labels.widths import line_width, parse_length

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("4", 4), ("4 m", 4), ("3.5m", 3.5), (" 12", 12), ("3,5", 3.5), (".5", 0.5), ("2 metres", 2), ("80 cm", 0.8),
        ("12'", 3.6576), ("12'6\"", 3.81), ("12′6″", 3.81), ("40 ft", 12.192), ("40ft 6in", 12.3444), ("30 in", 0.762),
        ("narrow", None), ("3-4", None), ("3;4", None), ("-2", None), ("inf", None), ("", None), ("~4", None),
        ("6\"2'", None), ("4 4", None), ("4 km", None), ("1e3", None),
    ],
)  # fmt: skip
def test_lengths(text, metres):
    assert parse_length(text) == (None if metres is None else pytest.approx(metres))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"width": "8", "lanes": "2"}, (8, "width", False)),
        ({"width": "wide", "est_width": "7 m"}, (7, "est_width", True)),
        ({"width": "0", "lanes": "2"}, (7, "lanes", True)),
        ({"width": "5000"}, (6, "class", True)),
        ({"lanes": "2;3"}, (6, "class", True)),
        ({"lanes": "0"}, (6, "class", True)),
        ({"lanes": "9" * 5000}, (6, "class", True)),
        ({}, (6, "class", False)),
    ],
)
def test_a_line_takes_the_best_width_that_can_be_read(tags, expected):
    assert line_width(tags, ("width", "est_width"), 6, 3.5) == expected


def test_lanes_count_only_where_the_rule_says_how_wide_one_is():
    assert line_width({"lanes": "4"}, ("width",), 6, None) == (6, "class", False)


def test_tags_of_columns_and_of_packed_columns():
    table = pd.DataFrame(
        {
            "highway": ["primary", None, np.nan],
            "other_tags": ['"surface"=>"asphalt","name"=>"a \\"b\\", c"', None, '"void"=>NULL, "lanes"=>"2"'],
            "tags": [None, {"building": "yes", "height": None}, '{"tunnel": "yes"}'],
            "lanes": [2, 3, 4],
            "oneway": [True, False, None],
        }
    )
    assert list(tags_of(table)) == [
        {"highway": "primary", "surface": "asphalt", "name": 'a "b", c', "lanes": "2", "oneway": "yes"},
        {"building": "yes", "lanes": "3", "oneway": "no"},
        {"tunnel": "yes", "lanes": "4"},
    ]
    assert list(tags_of(table, {"surface", "lanes"})) == [
        {"surface": "asphalt", "lanes": "2"}, {"lanes": "3"}, {"lanes": "4"},
    ]  # fmt: skip


def test_a_packed_column_of_something_else_says_nothing():
    table = pd.DataFrame({"other_tags": ["{broken", "no pairs", 5, ["a"]]})
    assert list(tags_of(table)) == [{}, {}, {}, {}]


def test_numbers_are_written_as_codes_are():
    assert list(tags_of(pd.DataFrame({"code": [4.0, np.nan, 4.5]}))) == [{"code": "4"}, {}, {"code": "4.5"}]
