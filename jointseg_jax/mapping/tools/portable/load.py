"""Runs this network with jax alone: `predict = load(FOLDER)`, `predict(inputs)["probability"]`; see README.md."""

import hashlib
import json
import pathlib

import jax
import jax.export
import numpy as np


def load(folder):
    """Loads a function of {modality: {"values": [b, dates, h, w, bands], "valid": [b, dates, h, w]}}."""
    folder = pathlib.Path(folder)
    assets = json.loads((folder / "model.json").read_text(encoding="utf-8"))["assets"]
    exported = jax.export.deserialize(bytearray(_checked(folder / "model.stablehlo", assets["model"])))
    raw = _checked(folder / "weights.safetensors", assets["weights"])
    size = int.from_bytes(raw[:8], "little")
    weights = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = np.frombuffer(raw[8 + size + begin : 8 + size + end], {"F32": "<f4", "F16": "<f2"}[entry["dtype"]])
            weights[name] = jax.numpy.asarray(array.reshape(entry["shape"]), "float32")
    call = jax.jit(exported.call)
    return lambda inputs: call(weights, inputs)


def _checked(path, asset):
    """Reads a file whose digest must match the model card."""
    content = path.read_bytes()
    if "1220" + hashlib.sha256(content).hexdigest() != asset["file:checksum"]:
        raise ValueError(f"{path} differs from the exported file (SHA-256): copy it again, or export the network again")
    return content
