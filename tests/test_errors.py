"""Messages for people stay on one line."""

import pickle

import pytest

from jointseg_jax.errors import InputError, Interrupted, Unwritable

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("kind", [InputError, Interrupted, Unwritable])
def test_whatever_a_name_holds(kind):
    error = kind("a\nb\x00.tif, " + "é" * 5000 + " c\u2028d: rename it")
    for said in (str(error), str(pickle.loads(pickle.dumps(error)))):
        assert said.startswith("a\\nb\\x00.tif, éé")
        assert said.endswith("éé c\\u2028d: rename it")
        assert len(said) < 400
        assert len(said.splitlines()) == 1


def test_an_ordinary_sentence_is_as_it_was():
    sentence = "maps/武汉/x.tif is damaged: restore it"
    assert str(InputError(sentence)) == sentence


@pytest.mark.parametrize("query", ["sig=abc%3A1", "se=2026-12-01T00:00:00Z&sig=abc", "a=1&sig=abc"])
def test_an_address_loses_its_query(query):
    said = str(InputError(f"/vsicurl/https:/user:abc@host/a.tif?{query}: correct the address (https://host/b?{query})"))
    assert said == "https://host/a.tif: correct the address (https://host/b)"
