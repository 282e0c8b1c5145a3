"""What was exported gives, with jax alone and at any size, what the predictor gives."""

import dataclasses
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys

import drawn_networks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import toy

from jointseg_jax.commands.export import main
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.halo import kept, kept_at
from jointseg_jax.mapping.predictor.predictor import predict_tiles
from jointseg_jax.mapping.predictor.weights import flat_weights, weights_digest
from jointseg_jax.mapping.tools.export import export, export_function, rounded
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, sha256, write_json
from jointseg_jax.training.checkpoints import portable
from jointseg_jax.training.trained import load_trained

STRANGER = """
import sys

class Blocked:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("jointseg_jax", "flax", "safetensors", "rasterio", "orbax"):
            raise ImportError(name + " is not to be had here")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
import numpy as np
from load import load

predict = load(sys.argv[1])
for path in sys.argv[2:]:
    inputs = {}
    for key, array in np.load(path).items():
        name, part = key.rsplit("/", 1)
        inputs.setdefault(name, {})[part] = array
    np.savez(path.replace("in", "out"), **predict(inputs))
"""


@pytest.fixture(scope="module")
def trained(toy_config, tmp_path_factory):
    """A network of one stage and two lattices: an export compiles it again and again."""
    config = toy_config.copy_and_resolve_references().unlock()
    config.model = toy.network("10", lattices=("1", "10"), widths=(4, 8), dilations=(1,))
    return drawn_networks.draw(config, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def network(trained, tmp_path_factory):
    """A network whose weights float16 holds, and whose halo was measured."""
    network = dataclasses.replace(trained, workdir=tmp_path_factory.mktemp("run"), params=rounded(trained.params))
    measured = {"halo": 12, "errors": {"12": 0.0}, "reference": 24, "met": True, "scene": "a", "crops": 8, "theory": 90}
    key = {"step": 0, "weights": "ema", "sha256": weights_digest(network.params), "tolerance": 0.0025}
    formats.write_record(kept_at(network), {**key, **measured}, formats.HALO)
    return network


@pytest.fixture(scope="module")
def exported(network, trained, tmp_path_factory):
    """The export of `trained` with float16 weights."""
    folder = tmp_path_factory.mktemp("exported")
    return folder, export(dataclasses.replace(network, params=trained.params), folder, half=True)


def inputs(contract, batch, height, width, seed=0):
    """Random numbers in the units of the modalities, with holes, and one modality absent."""
    rng = np.random.default_rng(seed)
    found = {}
    for i, m in enumerate(contract.modalities):
        mean, std = m.normalisation()
        grid = (batch, contract.dates, height, width)
        valid = rng.random(grid) > (1.0 if i == 2 else 0.1)
        values = (mean + std * rng.standard_normal((*grid, len(m.bands)))).astype(np.float32)
        found[m.name] = {"values": values * valid[..., None], "valid": valid}
    return found


def test_with_jax_alone_at_any_size(exported, network, tmp_path):
    folder, _ = exported
    sizes = [(1, 7, 11), (2, 1, 5)]
    paths = []
    for i, size in enumerate(sizes):
        given = inputs(network.meta.contract, *size, seed=i)
        paths.append(tmp_path / f"in{i}.npz")
        np.savez(paths[-1], **{f"{n}/{k}": v for n, parts in given.items() for k, v in parts.items()})
    (tmp_path / "stranger.py").write_text(STRANGER)
    command = [sys.executable, "-I", str(tmp_path / "stranger.py"), str(folder), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    temperature = jnp.float32(network.meta.calibration.temperature)
    for i, size in enumerate(sizes):
        out = np.load(tmp_path / f"out{i}.npz")
        assert out["probability"].shape == (size[0], 10 * size[1], 10 * size[2])
        given = inputs(network.meta.contract, *size, seed=i)
        probability, images = predict_tiles(
            network.model, network.params, temperature, given, None, halo=0, images=True
        )
        assert np.ptp(probability) > 0.1
        np.testing.assert_allclose(out["probability"], probability, atol=5e-6)
        np.testing.assert_allclose(out["image"], images[-1], rtol=1e-5, atol=1e-6)


def test_the_loader_is_short(exported):
    lines = [line for line in (exported[0] / "load.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 34
    assert set(re.findall(r"^import (\w+)", "\n".join(lines), re.M)) == {"hashlib", "jax", "json", "numpy", "pathlib"}


def test_weights_are_those_of_the_network(exported, network):
    stored = safetensors.numpy.load_file(exported[0] / "weights.safetensors")
    ours = flat_weights(network.params)
    assert stored.keys() == ours.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(stored[name], array)


def test_the_function_is_for_all_platforms_and_holds_no_weights(trained, exported):
    function = export_function(trained)
    assert set(function.platforms) == {"cpu", "cuda", "tpu"}
    assert any("float32[b,10*h,10*w]" in str(a) for a in jax.tree.leaves(function.out_avals))
    card = json.loads((exported[0] / "model.json").read_text())
    for asset in card["assets"].values():
        assert asset["file:checksum"] == "1220" + sha256(exported[0] / asset["href"])
    assert card["assets"]["loader"]["mlm:entrypoint"]
    assert card["jointseg:contract"] == json.loads(json.dumps(typed.plain(trained.meta.contract)))


def test_inputs_of_another_kind_are_refused(trained, exported):
    sys.path.insert(0, str(exported[0]))
    try:
        from load import load
    finally:
        sys.path.pop(0)
    given = inputs(trained.meta.contract, 1, 8, 8)
    given["s2"]["values"] = given["s2"]["values"][..., :3]
    with pytest.raises(ValueError, match="shape"):
        load(exported[0])(given)


def test_a_network_that_needs_the_truth_is_no_product(trained, tmp_path):
    fine = dataclasses.replace(trained, model=trained.model.clone(control="fine"))
    with pytest.raises(InputError, match="'fine'"):
        export(fine, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_command_errs_in_one_line(tmp_path, capsys):
    assert main([f"--workdir={tmp_path}/none", f"--output={tmp_path}/x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_of_others_and_of_another_network_is_left_alone(trained, network, exported, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"contains README\.md but no MADE_BY file of this program"):
        export(trained, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
    folder, _ = exported
    with pytest.raises(InputError, match=r"exported network of another run .network: .*step 0, .*step 1, "):
        export(dataclasses.replace(network, step=1), folder)


def test_a_folder_that_cannot_be_written(trained, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export(trained, pathlib.Path(tmp_path / "file" / "x"))


@pytest.mark.parametrize("name", ["weights.safetensors", "model.stablehlo"])
def test_one_bit_of_an_export_is_noticed(exported, tmp_path, monkeypatch, name):
    shutil.copytree(exported[0], tmp_path / "copy")
    content = bytearray((tmp_path / "copy" / name).read_bytes())
    content[-100] ^= 1
    (tmp_path / "copy" / name).write_bytes(content)
    spec = importlib.util.spec_from_file_location("portable_load", tmp_path / "copy" / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(ValueError, match=rf"{name} differs from the exported file"):
        module.load(tmp_path / "copy")


def test_an_export_serves_in_place_of_the_run(exported, network):
    loaded = load_trained(exported[0])
    assert loaded.model == network.model
    assert loaded.meta.contract == network.meta.contract
    assert loaded.meta.calibration == network.meta.calibration
    assert weights_digest(loaded.params) == weights_digest(network.params)
    assert (loaded.name, loaded.step, loaded.weights) == (network.name, network.step, network.weights)
    assert kept(loaded).halo == 12
    assert "root" not in (exported[0] / "network.json").read_text()  # no path of the machine that trained it


def test_weights_are_kept_to_the_bit_or_rounded(exported, trained, network, tmp_path):
    portable.write(tmp_path, flat_weights(trained.params), trained.meta, 0, "ema", None)
    loaded = load_trained(tmp_path)
    assert weights_digest(loaded.params) == weights_digest(trained.params) != weights_digest(network.params)
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (exported[0], tmp_path)]
    assert sizes[0] < 0.75 * sizes[1]


def test_only_what_an_export_holds_is_to_be_had(exported):
    with pytest.raises(
        InputError, match=r"holds only the ema weights of step 0: give --weights=ema and no --checkpoint"
    ):
        load_trained(exported[0], checkpoint="7")
    with pytest.raises(InputError, match=r"holds only the ema weights"):
        load_trained(exported[0], weights="raw")
    assert load_trained(exported[0], checkpoint="0").step == 0
    with pytest.raises(InputError, match=r"does not name the dataset of its training: give one with --dataset=DIR"):
        load_trained(exported[0]).dataset  # noqa: B018


@pytest.mark.parametrize("harm", ["bit", "missing", "record", "newer", "model"])
def test_a_damaged_export_is_refused_in_one_sentence(exported, tmp_path, harm):
    folder = tmp_path / "copy"
    shutil.copytree(exported[0], folder)
    weights, record = folder / "weights.safetensors", folder / "network.json"
    if harm == "bit":
        content = bytearray(weights.read_bytes())
        content[-100] ^= 1
        weights.write_bytes(content)
    elif harm == "missing":
        weights.unlink()
    elif harm == "record":
        record.write_text(record.read_text().replace('"step": 0', '"step": 1'))
    else:
        fields = formats.read_record(record, formats.EXPORT)
        change = {"newer": {"wishes": 1}, "model": {"features": [5]}}[harm]
        fields["meta"]["config"]["model"] |= change
        write_json(record, formats.seal(fields, formats.EXPORT))
        assert read_json(record)["meta"]["config"]["model"].items() >= change.items()
    with pytest.raises(InputError, match=str(folder)):
        load_trained(folder)
