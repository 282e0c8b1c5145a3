"""Exports a trained network as files that run with jax alone, and that this program takes in place of the run.

DIR/model.stablehlo        the function, for any batch, height and width, on CPU, CUDA and TPU (jax.export);
normalisation and calibration are inside
DIR/weights.safetensors    its parameters
DIR/load.py                some thirty lines that verify both files and build the function
DIR/model.json, README.md  the model card as a STAC item (MLM) and as text, with the radiometry contract
DIR/network.json           what `--workdir=DIR` reads: config, contract, calibration
DIR/halo_STEP_KIND.json    the context that a tile needs, if it was measured for these weights
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.halo import kept, kept_at
from jointseg_jax.mapping.predictor.weights import described, flat_weights, weights_digest
from jointseg_jax.mapping.records.model_card import describe, known_halo, model_item
from jointseg_jax.models.jointseg import JointSeg, Params, run
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import atomic_path, sha256, write_json, write_text
from jointseg_jax.storage.folders import claim
from jointseg_jax.training.checkpoints import portable
from jointseg_jax.training.trained import Trained

FUNCTION, LOADER, CARD, README = "model.stablehlo", "load.py", "model.json", "README.md"
PLATFORMS = ("cpu", "cuda", "tpu")


def export_function(trained: Trained) -> jax_export.Exported:
    """Exports the network as StableHLO: (weights by name, inputs) -> {"probability": [b, 10h, 10w], perhaps "image"}.

    Inputs are those of `predictor.predict_tiles`: modality -> values `[b, dates, h, w, bands]` float32 in its units
    and valid `[b, dates, h, w]` bool.

    Raises:
        InputError: the control "fine" needs the true 1 m image, so it cannot map scenes.
    """
    if trained.model.control == "fine":
        raise InputError("the control 'fine' needs a true 1 m image, so it cannot map scenes: export another network")
    model, contract = trained.model, trained.meta.contract
    temperature = np.float32(trained.meta.calibration.temperature)
    tree = jax.tree.structure(trained.params)
    names = list(_in_tree_order(trained.params))

    def predict(weights: Mapping[str, jax.Array], inputs: Mapping[str, Any]) -> dict[str, jax.Array]:
        params = jax.tree.unflatten(tree, [weights[name] for name in names])
        return _outputs(model, params, inputs, temperature)

    weights = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in flat_weights(trained.params).items()}
    batch, height, width = jax_export.symbolic_shape("b, h, w", constraints=["b >= 1", "h >= 1", "w >= 1"])
    inputs = _shapes(contract, batch, height, width)
    return jax_export.export(jax.jit(predict), platforms=PLATFORMS)(weights, inputs)


def _outputs(model: JointSeg, params: Any, inputs: Mapping[str, Any], temperature: np.float32) -> dict[str, jax.Array]:
    outputs = run(model, params, inputs)
    found = {"probability": jax.nn.sigmoid((outputs.logits[..., 1] - outputs.logits[..., 0]) / temperature)}
    if outputs.images:
        found["image"] = outputs.images[-1]
    return found


def _in_tree_order(params: Any) -> list[str]:
    return [jax.tree_util.keystr(p, simple=True, separator="/") for p, _ in jax.tree_util.tree_leaves_with_path(params)]


def _shapes(contract: Contract, batch: Any, height: Any, width: Any) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    grid = (batch, contract.dates, height, width)
    return {
        m.name: {
            "values": jax.ShapeDtypeStruct((*grid, len(m.bands)), jnp.float32),
            "valid": jax.ShapeDtypeStruct(grid, jnp.bool_),
        }
        for m in contract.modalities
    }


def export(trained: Trained, folder: str | os.PathLike[str], *, half: bool = False) -> dict[str, pathlib.Path]:
    """Writes all files; the card comes last, because it holds the checksums of the others.

    Args:
        trained: the network.
        folder: for the files.
        half: store the weights as float16, which halves their file. The exported network is then that of the rounded
            weights, and its map differs a little.

    Raises:
        InputError: see `export_function`; or the folder holds other files, or is not writable.
    """
    folder = pathlib.Path(folder)
    if half:
        trained = dataclasses.replace(trained, params=rounded(trained.params))
    halo = kept_at(trained).name
    names = (FUNCTION, portable.WEIGHTS, portable.RECORD, LOADER, README, CARD, halo)
    with claim(folder, "exported network", run={"network": described(trained)}, names=names, inputs=[trained.workdir]):
        return _export(trained, folder, half)


def rounded(params: Params) -> Params:
    """The parameters with the precision of float16, as float32."""
    return jax.tree.map(lambda x: np.asarray(x, np.float16).astype(np.float32), params)


def _export(trained: Trained, folder: pathlib.Path, half: bool) -> dict[str, pathlib.Path]:
    files = {name: folder / name for name in (FUNCTION, portable.WEIGHTS, portable.RECORD, LOADER, README, CARD)}
    function = export_function(trained).serialize()
    arrays = {k: v.astype(np.float16) if half else v for k, v in flat_weights(trained.params).items()}
    with atomic_path(files[FUNCTION]) as temporary:
        temporary.write_bytes(function)
    portable.write(folder, arrays, trained.meta, trained.step, trained.weights, trained.written)
    measured = kept(trained)
    if measured is not None:
        files[kept_at(trained).name] = folder / kept_at(trained).name
        formats.write_record(folder / kept_at(trained).name, typed.plain(measured), formats.HALO)
    loader = resources.files("jointseg_jax.mapping.tools").joinpath("portable", LOADER).read_text(encoding="utf-8")
    write_text(files[LOADER], loader)
    write_text(files[README], readme(trained))
    card = model_item(trained, _assets(files))
    write_json(files[CARD], {**card, "jointseg:contract": typed.plain(trained.meta.contract)})
    return files


def _assets(files: Mapping[str, pathlib.Path]) -> dict[str, dict[str, Any]]:
    kinds = {
        FUNCTION: ("model", ["mlm:model", "mlm:compiled"], "jax.export", "application/octet-stream"),
        portable.WEIGHTS: ("weights", ["mlm:weights"], None, "application/octet-stream"),
        portable.RECORD: ("network", ["metadata"], None, "application/json"),
        LOADER: ("loader", ["code"], None, "text/x-python"),
        README: ("card", ["metadata"], None, "text/markdown"),
    }
    assets = {}
    for name, (key, roles, artifact, media) in kinds.items():
        asset: dict[str, Any] = {
            "href": f"./{name}",
            "roles": roles,
            "type": media,
            "file:checksum": "1220" + sha256(files[name]),
        }
        asset |= {"file:size": files[name].stat().st_size}
        if artifact:
            asset |= {"mlm:artifact_type": artifact, "mlm:compile_method": "aot"}
        if name == LOADER:
            asset |= {"mlm:entrypoint": "load:load"}
        assets[key] = asset
    return assets


def readme(trained: Trained) -> str:
    """The model card as Markdown."""
    contract, calibration = trained.meta.contract, trained.meta.calibration
    halo = known_halo(trained)
    rows = "\n".join(
        f"| `{m.name}` | {', '.join(m.bands)} | {m.units} | {m.spacing:g} m | {m.scale:g} * (DN {m.offset:+g}) |"
        for m in contract.modalities
    )
    scores = ", ".join(f"{k} {v:.3f}" for k, v in calibration.scores.items()) or "none measured"
    return f"""# {trained.name}, step {trained.step}, {trained.weights} weights

{describe(trained)}

```python
from load import load  # needs only jax and this folder

predict = load(".")
out = predict({{name: {{"values": values, "valid": valid}} for name in {[m.name for m in contract.modalities]}}})
out["probability"]  # [batch, 10 height, 10 width] float32; values of at least {calibration.threshold:g} mean {contract.label}
```

`values` is float32 [batch, {contract.dates}, height, width, bands] in the units below, `valid` bool [batch, {contract.dates}, height, width], all
on the 10 m lattice (coarser bands interpolated onto it). Where a pixel has no measurement, or a modality is absent, pass
zeros and False. Batch, height and width are free. Normalisation and temperature ({calibration.temperature:g}) are inside.

| modality | bands | units | native | value, as trained |
| --- | --- | --- | --- | --- |
{rows}

The edge of the input changes the output up to {f"{halo} input pixels" if halo is not None else "some tens of input pixels (not measured)"} inwards: add that margin on every side, and crop it from the output.

Scores on the validation split, which chose threshold and temperature: {scores}. They do not apply to other regions.

SHA-256 of the weights: `{weights_digest(trained.params)}`.
"""  # noqa: E501


if __name__ == "__main__":
    cli.run_command("export")
