"""The model card: a network's inputs, outputs and training data, as a STAC item of the MLM extension and as text.

Fields follow https://github.com/stac-extensions/mlm, version 1.5.0. Unknown values are left out, never guessed.
"""

import datetime as dates
import re
from collections.abc import Mapping
from typing import Any

import jax

from jointseg_jax import __version__
from jointseg_jax.mapping.predictor.halo import kept
from jointseg_jax.mapping.predictor.weights import flat_weights, weights_digest
from jointseg_jax.rasters.contract import FINE_FACTOR, Contract, Modality
from jointseg_jax.training.trained import Trained

MLM = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
ARCHITECTURE = "JointSeg"
SENTINEL2_BEGAN = "2015-06-23T00:00:00+00:00"  # launch of Sentinel-2A: no scene is older
_PAPER = "https://arxiv.org/abs/2505.05367"


def model_item(trained: Trained, assets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Builds the card as a STAC 1.1 item, without links.

    Args:
        trained: the network.
        assets: name -> STAC asset; at least one needs the role `mlm:model` and an `mlm:artifact_type`.
    """
    meta, contract = trained.meta, trained.meta.contract
    bands = [
        {"name": b, "description": f"{m.name}, {m.units}", "gsd": m.spacing}
        for m in contract.modalities
        for b in m.bands
    ]
    properties: dict[str, Any] = {
        "title": f"{trained.name}, step {trained.step}, {trained.weights} weights",
        "description": describe(trained),
        **_moment(trained),
        "mlm:name": mlm_name(trained.name),
        "mlm:architecture": ARCHITECTURE,
        "mlm:tasks": ["semantic-segmentation", *(["super-resolution"] if trained.model.has_sr else [])],
        "mlm:framework": "JAX",
        "mlm:framework_version": ".".join(jax.__version__.split(".")[:3]),
        "mlm:total_parameters": sum(a.size for a in flat_weights(trained.params).values()),
        "mlm:memory_size": sum(a.nbytes for a in flat_weights(trained.params).values()),
        "mlm:accelerator": "xla",
        "mlm:accelerator_constrained": False,
        "mlm:input": [_input(m, contract) for m in contract.modalities],
        "mlm:output": _outputs(trained),
        "mlm:hyperparameters": {
            "step": trained.step,
            "weights": trained.weights,
            "temperature": meta.calibration.temperature,
            "threshold": meta.calibration.threshold,
            **({} if (halo := known_halo(trained)) is None else {"halo": halo}),
            "control": trained.model.control,
        },
        "bands": bands,
        "jointseg:label": contract.label,
        "jointseg:classes": list(contract.class_names),
        "jointseg:dataset": dict(meta.dataset),
        "jointseg:weights_sha256": weights_digest(trained.params),
        "jointseg:validation_scores": dict(meta.calibration.scores),
        "processing:software": {"jointseg-jax": __version__},
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM, CLASSIFICATION, "https://stac-extensions.github.io/processing/v1.2.0/schema.json"],
        "id": f"{mlm_name(trained.name)}-{trained.step}-{trained.weights}".replace(" ", "-"),
        "geometry": None,
        "properties": properties,
        "links": [],
        # STAC allows bands in the properties, where MLM requires them, only if an asset has bands too.
        "assets": {
            name: {**asset, **({"bands": bands} if "mlm:model" in asset["roles"] else {})}
            for name, asset in assets.items()
        },
    }


def checkpoint_asset(trained: Trained, href: str) -> dict[str, Any]:
    """The asset of the checkpoint, the card's model."""
    return {
        "href": href,
        "title": f"checkpoint {trained.step}, {trained.weights} weights",
        "roles": ["mlm:model"],
        "mlm:artifact_type": "orbax.checkpoint",
    }


def known_halo(trained: Trained) -> int | None:
    """The halo measured for these weights, in input pixels; None if it was not measured."""
    known = kept(trained)
    return None if known is None else known.halo


def mlm_name(name: str) -> str:
    """Reduces a name to the characters that the extension allows."""
    kept = re.sub(r"[^A-Za-z0-9_.\- ]+", "-", name).strip("-_. ")
    kept = kept if kept[:1].isalpha() else f"model-{kept}".strip("-")
    return kept if len(kept) > 2 else f"model-{kept}"


def describe(trained: Trained) -> str:
    """Describes the network in one paragraph."""
    contract = trained.meta.contract
    takes = "; ".join(f"{m.name} ({', '.join(m.bands)}; {m.units} at {m.spacing:g} m)" for m in contract.modalities)
    return (
        f"{ARCHITECTURE} (control {trained.model.control!r}; after Deng, Hong, Li, Yokoya 2025, {_PAPER}, an "
        f"independent implementation): {contract.label} at 1 m from {takes}. Input: {contract.composite}. Trained on "
        f"dataset {trained.meta.dataset.get('name')!r}; no accuracy is claimed for other sensors, units or seasons."
    )


def _moment(trained: Trained) -> dict[str, Any]:
    """When the checkpoint was written; if its folder is missing, the interval in which it must have been."""
    written = trained.written
    if written is not None:
        return {"datetime": written}
    now = dates.datetime.now(dates.UTC).isoformat(timespec="seconds")
    return {"datetime": None, "start_datetime": SENTINEL2_BEGAN, "end_datetime": now}


def _input(modality: Modality, contract: Contract) -> dict[str, Any]:
    mean, std = modality.normalisation()
    absent = "; optional: if absent, every pixel is invalid" if modality.optional else ""
    return {
        "name": modality.name,
        "description": f"{modality.units} on the 10 m lattice (native {modality.spacing:g} m), zero where invalid, and "
        f"a mask of the same height and width{absent}",
        "bands": list(modality.bands),
        "input": {
            "shape": [-1, contract.dates, -1, -1, len(modality.bands)],
            "dim_order": ["batch", "time", "height", "width", "bands"],
            "data_type": "float32",
        },
        "value_scaling": [
            {"type": "z-score", "mean": float(m), "stddev": float(s)} for m, s in zip(mean, std, strict=True)
        ],
    }


def _outputs(trained: Trained) -> list[dict[str, Any]]:
    contract, calibration = trained.meta.contract, trained.meta.calibration
    shape = {"shape": [-1, -1, -1], "dim_order": ["batch", "height", "width"]}
    found: list[dict[str, Any]] = [
        {
            "name": "probability",
            "description": f"calibrated (temperature {calibration.temperature:g}) probability of {contract.label}; "
            f"height and width are {FINE_FACTOR} times the input's; values of at least {calibration.threshold:g} mean "
            f"{contract.label}",
            "tasks": ["semantic-segmentation"],
            "result": {**shape, "data_type": "float32"},
            "classification:classes": [{"value": i, "name": name} for i, name in enumerate(contract.class_names)],
        }
    ]
    if trained.model.has_sr:
        found.append(
            {
                "name": "image",
                "description": f"{', '.join(contract.image_bands)} at 1 m, {contract.primary.units}",
                "tasks": ["super-resolution"],
                "bands": list(contract.image_bands),
                "result": {
                    "shape": [-1, -1, -1, len(contract.image_bands)],
                    "dim_order": ["batch", "height", "width", "bands"],
                    "data_type": "float32",
                },
                "classification:classes": [],
            }
        )
    return found
