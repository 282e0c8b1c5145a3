"""Parameters and batches of the JAX package as PyTorch's, and back."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def to_batch(arrays: Mapping[str, np.ndarray], device: str) -> dict[str, Tensor]:
    """The batch as tensors: images NCHW in channels_last, inputs [b, dates, c, h, w]."""
    batch = {}
    for name, array in arrays.items():
        if not name.startswith("batch/"):
            continue
        tensor = torch.from_numpy(array).to(device)
        parts = name.split("/")
        if parts[1] == "inputs":
            batch[f"{parts[3]}_{parts[2]}"] = tensor.permute(0, 1, 4, 2, 3) if parts[3] == "values" else tensor
        elif parts[1] == "image":
            batch["image"] = tensor.permute(0, 3, 1, 2)
        elif parts[1] in ("image_valid", "label"):
            batch[parts[1]] = tensor
    return batch


def pieces(name: str) -> tuple[str, tuple[int, int] | None, str]:
    """Splits a parameter's name: path in the JAX tree, place in a stack of blocks, "weight", "bias" or "scale"."""
    *path, kind = name.split(".")
    text = "/".join(path)
    text = re.sub(r"^stages/(\d+)", lambda m: f"sr/stage{int(m[1]) + 1}", text)
    text = text.replace("/tail/", "/")
    text = re.sub(r"fusion/(squeeze|excite)$", r"fusion/channels/\1", text)
    text = re.sub(r"fusion/places$", "fusion/places/conv", text)
    if kind == "scale":
        return f"{text}/norm/scale", None, kind
    leaf = "kernel" if kind == "weight" else kind
    stacked = re.fullmatch(r"(.*/trunk)/(\d+)/dense/(\d+)/conv(\d)", text)
    if stacked:
        return f"{stacked[1]}/{leaf}{stacked[4]}", (int(stacked[2]), int(stacked[3])), kind
    return f"{text}/{leaf}", None, kind


def load_parameters(net: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Fills every parameter of the network from the JAX tree; raises `ValueError` unless every array is used whole."""
    given = {k.removeprefix("params/"): v for k, v in arrays.items() if k.startswith("params/")}
    used: dict[str, int] = {}
    for name, parameter in net.named_parameters():
        path, place, kind = pieces(name)
        array = given[path][place] if place else given[path]
        used[path] = used.get(path, 0) + array.size
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        tensor = tensor.permute(3, 2, 0, 1) if kind == "weight" else tensor
        if tensor.shape != parameter.shape:
            raise ValueError(f"{path} is {tuple(tensor.shape)}, {name} is {tuple(parameter.shape)}")
        parameter.data.copy_(tensor)
    left = [path for path, array in given.items() if used.get(path) != array.size]
    if left:
        raise ValueError(f"the PyTorch network does not use {', '.join(left)}")


def to_tree(named: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The module's parameters as arrays, in the names and layouts of the JAX tree."""
    found: dict[str, Any] = {}
    for name, tensor in named.items():
        path, place, kind = pieces(name)
        array = to_numpy(tensor.permute(2, 3, 1, 0) if kind == "weight" else tensor)
        if place:
            found.setdefault(path, {})[place] = array
        else:
            found[path] = array
    return {path: stack(v) if isinstance(v, dict) else v for path, v in found.items()}


def stack(parts: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    blocks, dense = (1 + max(p[axis] for p in parts) for axis in (0, 1))
    return np.stack([np.stack([parts[i, j] for j in range(dense)]) for i in range(blocks)])


def to_numpy(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
