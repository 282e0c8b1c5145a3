"""Labels from land-cover codes."""

import numpy as np
import pytest

from jointseg_jax.data.prepare.labels.codes import map_classes
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


def test_codes_are_mapped_or_named():
    codes = np.array([[0, 1], [3, 5]], np.uint8)
    mapping = {0: 255, 1: 1, 3: 1, 5: 0}
    np.testing.assert_array_equal(map_classes(codes, mapping, "x.tif"), [[255, 1], [1, 0]])
    with pytest.raises(InputError, match=r"x\.tif has land-cover codes \[3, 5\]"):
        map_classes(codes, {0: 255, 1: 1}, "x.tif")
