"""Which crops a study draws, and the frame around them."""

import dataclasses

import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.study import crops
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.reader import Handles


def test_the_most_mixed_crops_come_first(data, monkeypatch):
    monkeypatch.setattr(crops, "_SIDE", 12)
    found = crops.mixed_crops(data, "test")
    assert len(found) == 4
    assert len({crop.window for crop in found}) == 4
    handles = Handles()
    shares = [float((crops._label(data, crop, handles) == 1).mean()) for crop in found]
    handles.close()
    mixed = [min(share, 1 - share) for share in shares]
    assert mixed == sorted(mixed, reverse=True)
    assert mixed[0] > 0.2


def test_a_split_without_a_whole_square_is_named(data):
    narrow = dataclasses.replace(data, sites={"a": data.sites["a"].replace(pixels={"test": 1})})
    with pytest.raises(InputError, match="has no labelled square of 320 m in split 'test' to draw"):
        crops.mixed_crops(narrow, "test")


@pytest.mark.quick
def test_a_frame_has_its_colours_below():
    rgb = np.full((50, 300, 3), (200, 100, 7), np.uint8)
    framed = drawing.framed(
        rgb, "one line", [((1, 2, 3), "first"), ((4, 5, 6), "second"), ((7, 8, 9), "a long third one")]
    )
    row, col = np.argwhere((framed == (200, 100, 7)).all(-1))[0]
    np.testing.assert_array_equal(framed[row : row + 50, col : col + 300], rgb)
    for colour in ((1, 2, 3), (4, 5, 6), (7, 8, 9)):
        rows = np.argwhere((framed == colour).all(-1))[:, 0]
        assert rows.min() > row + 49
    narrow = drawing.framed(rgb[:, :60], "one line", [((1, 2, 3), "first"), ((4, 5, 6), "second")])
    assert narrow.shape[0] > drawing.framed(rgb, "one line", [((1, 2, 3), "first"), ((4, 5, 6), "second")]).shape[0]


@pytest.mark.quick
def test_a_frame_has_a_scale_bar_of_a_round_length():
    rgb = np.full((200, 300, 3), (200, 100, 7), np.uint8)
    plain, barred = (drawing.framed(rgb, "one line", [((1, 2, 3), "first")], metres) for metres in (None, 2.0))
    row, col = np.argwhere((plain == (200, 100, 7)).all(-1))[0]
    drawn = barred[row : row + 200, col : col + 300]
    white = np.argwhere((drawn == 255).all(-1))
    bar = white[white[:, 0] == white[:, 0].max()]
    assert white[:, 0].min() > 100  # in the lower part
    assert 100 - 4 <= len(bar) <= 100 + 1  # 200 m of 2 m a pixel, inside its outline
