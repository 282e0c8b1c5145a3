"""What a scene holds, to compare scenes that were opened in different ways."""

import numpy as np

from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles


def first_modality(contract):
    """A contract of the first modality alone."""
    return contract.replace(modalities=contract.modalities[:1])


_WINDOW = Window(-3, -2, 20, 23)  # begins outside the scene


def read_values(scene, window=_WINDOW):
    """Values and validity of a window of a scene, by modality."""
    handles = Handles()
    try:
        return scene.read(window, handles)
    finally:
        handles.close()


def assert_same_values(a, b):
    """Compares two results of `read_values`, bit for bit."""
    assert set(a) == set(b)
    for name in a:
        for key in a[name]:
            np.testing.assert_array_equal(a[name][key], b[name][key])
