"""Every field of a config has bounds in one table, and what is out of them gets a sentence before anything is made."""

import math

import pytest
from ml_collections import ConfigDict

from jointseg_jax.bounds.config import FIELDS, OPTIONAL, _pattern, check_dataset, check_experiment, check_present
from jointseg_jax.configs import common, demo, dubai, scenes, yreb
from jointseg_jax.data.prepare.recipe import ENCODINGS
from jointseg_jax.data.sensor import KERNELS
from jointseg_jax.errors import InputError
from jointseg_jax.landscape.model import YEARS
from jointseg_jax.models.jointseg import CONTROLS
from jointseg_jax.models.rrdb import REMAT
from jointseg_jax.training.build.network import _DTYPES
from jointseg_jax.training.devices.parallel import HOW
from jointseg_jax.training.losses.adversarial import GAN_KINDS
from jointseg_jax.training.losses.objective import WEIGHTINGS

pytestmark = pytest.mark.quick
CONFIGS = {"demo": demo, "dubai": dubai, "scenes": scenes, "yreb": yreb}


def whole():
    config = common.experiment("x")
    config.dataset = common.dataset("x")
    config.dataset.modalities = common.sentinel2()
    config.dataset.modalities.embedding = common.embedding(2)
    config.dataset.source.layers = ConfigDict(common.SENTINEL2_FILES)
    config.dataset.inputs = ("s2",)
    config.model = common.model("4x2.5", blocks=(1,), features=8, growth=4, tail=4, finest_trunk=5.0)
    return config


def changed(path, value):
    """A config with one field changed, to a value of any type."""
    config = whole()
    section, _, field = path.rpartition(".")
    at = config
    for part in filter(None, section.split(".")):
        at = at[part]
    with at.ignore_type():
        at[field] = value
    return config


def fields(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, ConfigDict) and len(value):
            yield from fields(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_field_has_bounds():
    """A field that is added to configs/common.py without a row in the table is found here."""
    known = {_pattern(path) for path in fields(whole())}
    assert known - set(FIELDS) - set(OPTIONAL) == set()
    unset = {path for path in FIELDS if path.startswith(OPTIONAL)}
    assert set(FIELDS) - known == unset  # nor are there rows for fields that have gone


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_are_within_them(name):
    check_experiment(CONFIGS[name].get_config())
    check_dataset(CONFIGS[name].get_config().dataset)


def test_choices_are_those_that_the_code_knows():
    options = {
        "model.control": CONTROLS, "model.remat": REMAT, "adversarial.kind": GAN_KINDS, "loss.weighting": WEIGHTINGS,
        "dataset.simulate.kernel": KERNELS,
        "dataset.modalities.*.units": tuple(ENCODINGS),
    }  # fmt: skip
    assert {path: FIELDS[path].options for path in options} == options
    assert set(FIELDS["model.dtype"].options) == set(_DTYPES)
    assert FIELDS["mesh.rules"].of.kinds[1].options == HOW
    assert FIELDS["dataset.source.landscape.years"].of.options == YEARS


@pytest.mark.parametrize("path", [p.replace("*", "s2") for p in FIELDS if not p.startswith(OPTIONAL)])
def test_no_field_takes_what_is_of_no_kind(path):
    """Not a number, an object, a section without fields: every field refuses each with one sentence that names it."""
    for value in (math.nan, {"a": 1}.keys(), ConfigDict()):
        with pytest.raises(InputError) as caught:
            check_experiment(changed(path, value))
        assert f"--config.{path}=" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("steps", -5, "must be a whole number of at least 1"),
        ("steps", True, "must be a whole number of at least 1 and of at most"),
        ("steps", 2**31, "must be a whole number of at most 2,147,483,647"),
        ("log_every", 0, "of at least 1 steps"),
        ("validate_every", 0, "of at least 1"),
        ("validate_patches", 0, "of at least 1"),
        ("data.batch", 0, "of at least 1"),
        ("seed", -1, "of at least 0"),
        ("data.workers", -1, "of at least 0"),
        ("data.threads", -1, "of at least 1"),
        ("panels", -1, "of at least 0"),
        ("data.jitter", -1.0, "of at least 0"),
        ("optimizer.learning_rate", -1.0, "above 0"),
        ("optimizer.learning_rate", math.inf, "above 0"),
        ("optimizer.ema", 2.0, "below 1"),
        ("optimizer.betas", (2, 3), "has the entry 2, which must be a number below 1"),
        ("optimizer.betas", 0.9, "must be a tuple of 2 entries"),
        ("optimizer.end_factor", 1.5, "of at most 1"),
        ("optimizer.schedule", "zigzag", "must be one of constant, cosine"),
        ("mesh.data", -2, "of at least 1, or -1"),
        ("mesh.data", 0, "of at least 1, or -1"),
        ("model.stages", ("1e999999999",), "must be a number from 1 to 10"),
        ("dataset.patch", 0, "of at least 1"),
        ("dataset.stride", 0, "of at least 1"),
        ("dataset.min_valid", 1.5, "of at most 1"),
        ("dataset.split.gap", -5, "of at least 0"),
        ("dataset.split.by", "luck", "must be one of site, block"),
        ("dataset.source.kind", "tables", "must be one of table, scenes, archive, landscape"),
        ("dataset.source.image", "/etc/passwd", "is an absolute path"),
        ("dataset.source.layers.s2", ("/etc/passwd",), "is an absolute path"),
        ("dataset.source.layers.s2", (), "at least 1 entry"),
        ("dataset.name", "../x", "it names a file or a folder"),
        ("dataset.path", "a\0b", "control character"),
        ("dataset.inputs", (), "at least 1 entry"),
        ("dataset.inputs", ("s2", "s2"), "twice"),
        ("dataset.modalities.s2.units", "toa", "must be one of reflectance"),
        ("dataset.modalities.s2.spacing", 15.0, "must be a multiple of 10 metres"),
        ("dataset.label.classes", ((0, 0), (1, 7)), "must be one of 0, 1, 255"),
        ("dataset.simulate.snr", (100.0, 0.0), "above 0"),
        ("dataset.simulate.misregistration", (1.0,), "must be a tuple of 2 entries"),
        ("dataset.modalities", 3, "must be a section"),
        ("dataset.modalities.s2", 3, "must be a section with the fields bands, dates, looks, offset, scale, spacing, "),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(path, value, words):
    with pytest.raises(InputError) as caught:
        check_experiment(changed(path, value))
    assert str(caught.value).startswith(f"--config.{path}=")
    assert words in str(caught.value)
    with pytest.raises(InputError):
        check_present(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("validate_patches", 1), ("model.stages", (4, 2.5)), ("optimizer.betas", [0.0, 0.99]), ("optimizer.clip", 0),
        ("dataset.simulate.snr", (1e9,)), ("dataset.split.table.test", None), ("optimizer.warmup", 10**6),
        ("init_from", "ein/Übergang.pth"), ("dataset.source.image", "../shared/image.tif"), ("model.scan", True),
    ],
    ids=str,
)  # fmt: skip
def test_what_works_is_not_refused(path, value):
    check_experiment(changed(path, value))


def test_a_field_that_nothing_reads_is_named_with_the_nearest():
    config = whole()
    config.optimizer.learning_rat = 1.0
    with pytest.raises(
        InputError, match=r"optimizer\.learning_rat=1\.0 is not a known field.*optimizer\.learning_rate\?"
    ):
        check_experiment(config)


def test_a_field_that_is_missing_is_named():
    config = whole()
    del config["max_skipped"]
    with pytest.raises(InputError, match="no field max_skipped"):
        check_experiment(config)
    check_present(config)  # who only prepares needs it not


@pytest.mark.parametrize("field", ["bands", "spacing", "units", ""])
def test_a_modality_is_described_whole(field):
    config = whole()
    if field:
        del config.dataset.modalities.s2[field]
    else:
        config.dataset.modalities.s2 = ConfigDict()
    with pytest.raises(InputError, match=rf"no field dataset\.modalities\.s2\.{field or 'bands'}"):
        check_experiment(config)


@pytest.mark.parametrize("by", ["block", "mixed"])
def test_a_gap_holds_a_halo(by):
    config = whole().dataset
    config.split.by, config.split.gap, config.split.halo = by, 16, 16
    check_dataset(config)
    config.split.gap = 15
    with pytest.raises(InputError, match=r"gap=15 .*reads beyond its ground .*set it to 16 or more"):
        check_dataset(config)


def test_a_landscape_is_described_whole():
    config = demo.get_config()
    config.unlock()
    del config.dataset.source.landscape["side"]
    with pytest.raises(InputError, match=r"source\.kind=landscape needs dataset\.source\.landscape\.side"):
        check_dataset(config.dataset)


def test_a_site_shows_something():
    check_experiment(changed("dataset.source.label", ""))  # for super-resolution alone
    config = changed("dataset.source.image", "")
    check_experiment(config)
    config.dataset.source.label = ""
    with pytest.raises(InputError, match="name the image, which this dataset needs"):
        check_experiment(config)
