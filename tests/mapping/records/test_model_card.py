"""The model card keeps the rules of STAC's extension for models, and identifies the weights."""

import re

import jax
import pytest
from stac_schemas import check_stac

from jointseg_jax.mapping.predictor.weights import flat_weights, weights_digest
from jointseg_jax.mapping.records import model_card as cards


def test_the_model_card_keeps_the_rules_of_the_extension(card, trained):
    """Those of mlm 1.5.0 that its schema adds to STAC: required fields, forms, dimensions, the model's asset."""
    check_stac(card)
    p = card["properties"]
    for field in ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output", "bands"):
        assert p[field], field
    for entry, part in [(e, "input") for e in p["mlm:input"]] + [(e, "result") for e in p["mlm:output"]]:
        structure = entry[part]
        assert len(structure["shape"]) == len(structure["dim_order"])
        assert ("bands" in structure["dim_order"]) == bool(entry.get("bands"))
    assert {b["name"] for b in p["bands"]} >= {b for i in p["mlm:input"] for b in i["bands"]}
    assert [len(i["value_scaling"]) for i in p["mlm:input"]] == [len(i["bands"]) for i in p["mlm:input"]]
    models = [a for a in card["assets"].values() if "mlm:model" in a["roles"]]
    assert len(models) == 1
    assert models[0]["mlm:artifact_type"]
    assert p["mlm:total_parameters"] == sum(a.size for a in flat_weights(trained.params).values())
    assert p["mlm:hyperparameters"]["threshold"] == 0.45


@pytest.mark.parametrize("name", ["toy", "1 m net!", "ü", "a/b c", "-x-"])
def test_names_are_what_the_extension_allows(name):
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", cards.mlm_name(name))


def test_the_digest_knows_weights_apart(trained):
    same = weights_digest(trained.params)
    assert same == weights_digest(jax.tree.map(lambda x: x.copy(), trained.params))
    leaves, tree = jax.tree.flatten(trained.params)
    changed = leaves[0].copy()
    changed.flat[0] += 1e-6
    assert weights_digest(jax.tree.unflatten(tree, [changed, *leaves[1:]])) != same
