"""What was exported gives, with jax alone and at any size, what the predictor gives."""

import dataclasses
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jointseg_jax.commands.export import main
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.predictor import predict_tiles
from jointseg_jax.mapping.predictor.weights import flat_weights
from jointseg_jax.mapping.tools.export import export, export_function
from jointseg_jax.storage import typed
from jointseg_jax.storage.files import sha256

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
def exported(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return folder, export(trained, folder)


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


def test_with_jax_alone_at_any_size(exported, trained, tmp_path):
    folder, _ = exported
    sizes = [(1, 7, 11), (2, 1, 5)]
    paths = []
    for i, size in enumerate(sizes):
        given = inputs(trained.meta.contract, *size, seed=i)
        paths.append(tmp_path / f"in{i}.npz")
        np.savez(paths[-1], **{f"{n}/{k}": v for n, parts in given.items() for k, v in parts.items()})
    (tmp_path / "stranger.py").write_text(STRANGER)
    command = [sys.executable, "-I", str(tmp_path / "stranger.py"), str(folder), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    temperature = jnp.float32(trained.meta.calibration.temperature)
    for i, size in enumerate(sizes):
        out = np.load(tmp_path / f"out{i}.npz")
        assert out["probability"].shape == (size[0], 10 * size[1], 10 * size[2])
        given = inputs(trained.meta.contract, *size, seed=i)
        probability, images = predict_tiles(
            trained.model, trained.params, temperature, given, None, halo=0, images=True
        )
        assert np.ptp(probability) > 0.1
        np.testing.assert_allclose(out["probability"], probability, atol=5e-6)
        np.testing.assert_allclose(out["image"], images[-1], rtol=1e-5, atol=1e-6)


def test_the_loader_is_short(exported):
    lines = [line for line in (exported[0] / "load.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 34
    assert set(re.findall(r"^import (\w+)", "\n".join(lines), re.M)) == {"hashlib", "jax", "json", "numpy", "pathlib"}


def test_weights_are_those_of_the_network(exported, trained):
    stored = safetensors.numpy.load_file(exported[0] / "weights.safetensors")
    ours = flat_weights(trained.params)
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


def test_a_folder_of_others_and_of_another_network_is_left_alone(trained, exported, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"contains README\.md but no MADE_BY file of this program"):
        export(trained, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
    folder, _ = exported
    with pytest.raises(InputError, match=r"exported network of another run .network: .*step 0, .*step 1, "):
        export(dataclasses.replace(trained, step=1), folder)


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
