"""The config that users copy: every field that it, or the page about it, shows is there and within its bounds."""

import pathlib
import re

import pytest

from jointseg_jax.bounds.config import DATASET, check_experiment
from jointseg_jax.configs import archive_demo, template
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("argument", ["", "root=/data/archive", "network=large", "control=bilinear,stages=10"])
def test_the_template_is_a_config(argument):
    """A misspelt field would be a new one, which the check refuses."""
    config = template.get_config(argument)
    check_experiment(config)
    assert set(config.dataset.source.layers) == set(config.dataset.inputs) < set(config.dataset.modalities)
    assert config.dataset.source.root == ("/data/archive" if "root" in argument else None)


def test_the_demo_is_the_template_with_other_numbers():
    config = archive_demo.get_config("folder=/somewhere")
    check_experiment(config)
    assert config.dataset.source.root == "/somewhere/raw"
    assert config.dataset.source.layers == template.get_config().dataset.source.layers


def test_every_field_that_the_page_names_exists():
    """In `docs/your-own-data.md`, as `dataset.x.y`; keys of modalities and layers are the user's."""
    text = (ROOT / "docs" / "your-own-data.md").read_text()
    named = set(re.findall(r"(?<![\w/])dataset\.(\w+(?:\.\w+)*)", text)) - {"json", "path"}
    assert len(named) > 20
    known = {path.removeprefix("dataset.") for path in DATASET}
    sections = {".".join(p.split(".")[:n]) for p in known for n in range(1, 5)}

    def exists(field):
        parts = field.split(".")
        starred = ".".join([*parts[:1], "*", *parts[2:]]) if parts[0] == "modalities" else ""
        layer = "source.layers.*" if parts[:2] == ["source", "layers"] else ""
        return field in known | sections or starred in known | sections or layer in known

    assert sorted(field for field in named if not exists(field)) == []


def test_a_network_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="network=huge"):
        template.get_config("network=huge")
