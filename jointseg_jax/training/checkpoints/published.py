"""Published weights in this project's parameter trees: VGG19, LPIPS, and BasicSR's and Real-ESRGAN's RRDBNet x4."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.models.lpips import ALEXNET, VGG16, Backbone
from jointseg_jax.models.rrdb import DENSE_BLOCKS, DENSE_CONVS
from jointseg_jax.models.vgg import LAYERS, vgg19_shapes
from jointseg_jax.training.checkpoints.torch_files import read_arrays

_FIRST = "conv_first.weight"
_PREFERRED = ("params_ema.", "params.", "")
# ESRGAN's own names, before BasicSR renamed them.
_OLDER_NAMES = (
    (re.compile(r"^RRDB_trunk\.(\d+)\.RDB(\d)\."), r"body.\1.rdb\2."),
    (re.compile(r"^trunk_conv\."), "conv_body."),
    (re.compile(r"^upconv(\d)\."), r"conv_up\1."),
    (re.compile(r"^HRconv\."), "conv_hr."),
)


def load_vgg19(path: str | os.PathLike[str]) -> dict[str, dict[str, np.ndarray]]:
    """Parameters for `models.vgg.vgg19_activations` from torchvision's VGG19.

    Args:
        path: a `.pth` file such as torchvision's vgg19-dcbb9e9d.pth, or an `.npz` file with the same names
            ("features.0.weight" [out, in, 3, 3], ...). The classifier, if there, is ignored.

    Returns:
        {"conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}, float32.

    Raises:
        InputError: no readable weight file, or an entry is missing, of another shape, or not finite.
    """
    entries = _Entries(path, "VGG19 in torchvision's format", read_arrays(path))
    entries = entries.below("state_dict.") if "state_dict.features.0.weight" in entries.arrays else entries
    shapes = vgg19_shapes()
    params = {}
    index = 0
    for name, following in zip(LAYERS, (*LAYERS[1:], LAYERS[-1]), strict=True):
        params[name] = entries.convolution(f"features.{index}", shapes[name]["kernel"])
        # torchvision numbers convolutions, ReLUs and the pools between groups alike.
        index += 2 if following[:5] == name[:5] else 3
    return params


def load_lpips(paths: Sequence[str | os.PathLike[str]]) -> tuple[Backbone, dict[str, Any]]:
    """Backbone and parameters for `models.lpips.lpips`.

    Args:
        paths: in any order, torchvision's AlexNet or VGG16 (`alexnet-owt-*.pth`, `vgg16-*.pth`: "features.0.weight"
            [out, in, h, w], ...) and the linear weights 0.1 of the package lpips for it (`alex.pth`, `vgg.pth`:
            "lin0.model.1.weight" [1, channels, 1, 1], ...); or one file with both, also under the names of
            `lpips.LPIPS().state_dict()`. `.npz` files of the same names will do.

    Returns:
        The backbone, and {"convolutions": [{"kernel": [h, w, in, out], "bias": [out]}, ...], "linear": [[channels],
        ...]}, float32.

    Raises:
        InputError: no readable weight file, other weights, or an entry is missing, of another shape, or not finite.
    """
    if not 1 <= len(paths) <= 2:
        raise InputError(f"LPIPS takes its weights from two files, or from one that holds both, not from {len(paths)}")
    both = "AlexNet or VGG16 in torchvision's format, and the linear layers of LPIPS 0.1 for it"
    files = [_Entries(path, both, _short_names(read_arrays(path))) for path in paths]
    found = []
    for first in ("features.0.weight", "lin0.model.1.weight"):
        holders = [file for file in files if first in file.arrays]
        if not holders:
            raise InputError(f"{' and '.join(map(str, paths))}: no entry {first!r}: give the weights of {both}")
        found.append(holders[0])
    trunk, linear = found
    if trunk is linear and len(files) > 1:
        raise InputError(f"{trunk.path} holds both parts of LPIPS' weights: give it alone, or one file for each part")
    kernel = trunk.shape("features.0.weight", 4)
    sides = {backbone.convolutions[0].kernel[0]: backbone for backbone in (ALEXNET, VGG16)}
    backbone = sides.get(kernel[2])
    if backbone is None:
        raise InputError(f"{trunk.path}: features.0.weight has shape {list(kernel)}: give the weights of {both}")
    trunk.kind = f"{backbone.name} in torchvision's format"
    convolutions = [trunk.convolution(f"features.{c.position}", c.kernel) for c in backbone.convolutions]
    linear.kind = f"the linear layers of LPIPS 0.1 for {backbone.name}"
    sizes = enumerate(backbone.channels)
    weights = [linear.array(f"lin{i}.model.1.weight", (1, size, 1, 1)).ravel() for i, size in sizes]
    return backbone, {"convolutions": convolutions, "linear": weights}


def _short_names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Entries under torchvision's names, where the package lpips has cut the network into slices."""
    return {re.sub(r"^net\.slice\d\.", "features.", name): array for name, array in arrays.items()}


def load_rrdbnet(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Parameters for `models.progressive.StageNet` of factor 4 from a published RRDBNet x4.

    With a stage of the file's sizes, `StageNet(stage, bands).apply({"params": params}, x)[0]` equals PyTorch's output.
    The published networks predict the image, not a residual on the bicubic.

    Args:
        path: a file of BasicSR or Real-ESRGAN (names "body.0.rdb1.conv1.weight", ...) or of ESRGAN's first release
            ("RRDB_trunk.0.RDB1.conv1.weight", ...), under "params_ema" (preferred), "params", another single key, or
            none. Files of factor 2 or 1, which differ only in their 12 or 48 input bands (PyTorch's pixel unshuffle),
            are not supported.

    Returns:
        The parameter tree, float32; the file sets the number of blocks and the widths.

    Raises:
        InputError: no readable weight file, an entry is missing, unknown, of another shape, or not finite.
    """
    entries = _rrdbnet_entries(path)
    features, bands = entries.shape(_FIRST, 4)[:2]
    growth = entries.shape("body.0.rdb1.conv1.weight", 4)[0]
    tail = entries.shape("conv_up1.weight", 4)[0]
    out = entries.shape("conv_last.weight", 4)[0]
    blocks = 1 + max(int(name.split(".")[1]) for name in entries.arrays if re.match(r"body\.\d+\.", name))

    params: dict[str, Any] = {
        "conv_first": entries.convolution("conv_first", (3, 3, bands, features)),
        "conv_body": entries.convolution("conv_body", (3, 3, features, features)),
        "conv_up1": entries.convolution("conv_up1", (3, 3, features, tail)),
        "conv_up2": entries.convolution("conv_up2", (3, 3, tail, tail)),
        "conv_hr": entries.convolution("conv_hr", (3, 3, tail, tail)),
        "conv_last": entries.convolution("conv_last", (3, 3, tail, out)),
    }
    trunk = {}
    for i in range(1, DENSE_CONVS + 1):
        shape = (3, 3, features + (i - 1) * growth, growth if i < DENSE_CONVS else features)
        stack = [
            [entries.convolution(f"body.{block}.rdb{dense}.conv{i}", shape) for dense in range(1, DENSE_BLOCKS + 1)]
            for block in range(blocks)
        ]
        trunk[f"kernel{i}"] = np.stack([np.stack([conv["kernel"] for conv in block]) for block in stack])
        trunk[f"bias{i}"] = np.stack([np.stack([conv["bias"] for conv in block]) for block in stack])
    entries.refuse_unused()
    return {**params, "trunk": trunk}


def _rrdbnet_entries(path: str | os.PathLike[str]) -> "_Entries":
    """The entries of the network in a file, under BasicSR's names."""
    entries = _Entries(path, "an RRDBNet x4 in the format of BasicSR or Real-ESRGAN", read_arrays(path))
    prefixes = [name.removesuffix(_FIRST) for name in entries.arrays if name.endswith(_FIRST)]
    chosen = [prefix for prefix in _PREFERRED if prefix in prefixes] or prefixes
    if not chosen:
        raise entries.missing(_FIRST)
    if len(chosen) > 1 and chosen[0] not in _PREFERRED:
        raise InputError(
            f"{path} contains several networks ({', '.join(chosen)}): save one of them in a file of its own"
        )
    entries = entries.below(chosen[0])
    return _Entries(path, entries.kind, {_newer_name(name): array for name, array in entries.arrays.items()})


def _newer_name(name: str) -> str:
    for pattern, replacement in _OLDER_NAMES:
        name = pattern.sub(replacement, name)
    return name


class _Entries:
    """The arrays of a file, checked one by one as they are taken."""

    def __init__(self, path: str | os.PathLike[str], kind: str, arrays: Mapping[str, np.ndarray]):
        self.path, self.kind, self.arrays = path, kind, arrays
        self._used: set[str] = set()

    def below(self, prefix: str) -> "_Entries":
        """The entries with names that begin with `prefix`, which is stripped."""
        inside = {name[len(prefix) :]: array for name, array in self.arrays.items() if name.startswith(prefix)}
        return _Entries(self.path, self.kind, inside)

    def missing(self, name: str) -> InputError:
        return InputError(f"{self.path} has no entry {name!r}: give the weights of {self.kind}")

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of an entry, as PyTorch has it."""
        if name not in self.arrays:
            raise self.missing(name)
        shape = self.arrays[name].shape
        if len(shape) != dimensions:
            raise InputError(
                f"{self.path}: {name} has {len(shape)} dimensions, not {dimensions}: give the weights of {self.kind}"
            )
        return shape

    def convolution(self, name: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Kernel of `shape` [h, w, in, out] and bias [out] of the convolution `name`."""
        height, width, inputs, outputs = shape
        kernel = self.array(f"{name}.weight", (outputs, inputs, height, width))
        bias = self.array(f"{name}.bias", (outputs,))
        return {"kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), "bias": bias}

    def refuse_unused(self) -> None:
        """Raises if an entry was not used, because a network with other layers computes something else."""
        unused = sorted(set(self.arrays) - self._used)
        if unused:
            raise InputError(
                f"{self.path} has an entry {unused[0]!r} that this network does not use ({len(unused)} such entries): "
                f"give the weights of {self.kind}"
            )

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The entry `name` as float32, which must have this shape, as PyTorch has it."""
        found = self.shape(name, len(shape))
        if found != shape:
            raise InputError(
                f"{self.path}: {name} has shape {list(found)}, not {list(shape)}: give the weights of {self.kind}"
            )
        self._used.add(name)
        array = np.array(self.arrays[name], np.float32)
        if not np.isfinite(array).all():
            raise InputError(
                f"{self.path}: {name} contains values that are not finite: download or save the file again"
            )
        return array
