"""Runs this network with jax alone: `predict = load(FOLDER)`, `predict(inputs)["probability"]`; see README.md."""

import json
import pathlib

import jax
import jax.export
import numpy as np


def load(folder):
    """A function of {modality: {"values": [b, dates, h, w, bands], "valid": [b, dates, h, w]}}."""
    folder = pathlib.Path(folder)
    exported = jax.export.deserialize(bytearray((folder / "model.stablehlo").read_bytes()))
    raw = (folder / "weights.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    weights = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = np.frombuffer(raw[8 + size + begin : 8 + size + end], {"F32": "<f4"}[entry["dtype"]])
            weights[name] = jax.numpy.asarray(array.reshape(entry["shape"]))
    call = jax.jit(exported.call)
    return lambda inputs: call(weights, inputs)
