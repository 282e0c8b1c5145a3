"""A network's weights by name, and the digest that identifies them."""

import hashlib

import jax
import numpy as np

from jointseg_jax.models.jointseg import Params
from jointseg_jax.training.trained import Trained


def flat_weights(params: Params) -> dict[str, np.ndarray]:
    """The parameters on the host, by path such as `sr/stage1/...`, in alphabetical order."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(params))
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}
    return dict(sorted(named.items()))


def weights_digest(params: Params) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters; independent of how they are stored."""
    digest = hashlib.sha256()
    for name, array in flat_weights(params).items():
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def described(trained: Trained) -> str:
    """A text that identifies a network, its weights and its calibration."""
    calibration = trained.meta.calibration
    return (
        f"{trained.name}, step {trained.step}, {trained.weights} weights {weights_digest(trained.params)[:12]}, "
        f"temperature {calibration.temperature:.9g}, threshold {calibration.threshold:.9g}"
    )
