"""Maps land-cover codes to label values: 0 pervious, 1 impervious, 255 ignored."""

from collections.abc import Mapping

import numpy as np

from jointseg_jax.errors import InputError


def map_classes(codes: np.ndarray, mapping: Mapping[int, int], where: str) -> np.ndarray:
    """Translates land-cover codes (any integers) to label values.

    Raises:
        InputError: a code is not in `mapping`.
    """
    present, inverse = np.unique(codes, return_inverse=True)
    unknown = [int(code) for code in present if int(code) not in mapping]
    if unknown:
        raise InputError(
            f"{where} has land-cover codes {unknown} that dataset.label.classes does not map: add them (255 to ignore)"
        )
    return np.array([mapping[int(code)] for code in present], np.uint8)[inverse].reshape(codes.shape)
