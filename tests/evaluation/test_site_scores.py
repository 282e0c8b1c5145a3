"""Contract 9: the confusion of evaluate is the confusion of the map that predict writes."""

import copy
import dataclasses
import hashlib
import json
import re
import shutil

import jax
import lpips_weights
import numpy as np
import pytest
import rasterio
import stored_halo
from rio_cogeo import cog_validate

from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.confusion import Confusion
from jointseg_jax.evaluation.evaluate import evaluate
from jointseg_jax.evaluation.report import page as report
from jointseg_jax.evaluation.report.terminal import table
from jointseg_jax.mapping.scene_map import map_scene
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.storage.files import read_json
from jointseg_jax.storage.folders import claim
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.train import train
from jointseg_jax.training.trained import load_trained


@pytest.fixture(scope="module")
def trained(trained, data):
    """Its stages add little, so the super-resolved image resembles its base; tests of its own measure the halo."""

    def faint(path, x):
        return 0.02 * x if any(key.key == "conv_last" for key in path) else x

    found = dataclasses.replace(trained, params=jax.tree_util.tree_map_with_path(faint, trained.params))
    stored_halo.store(found, data.scene("d"))
    return found


@pytest.fixture(scope="module")
def lpips_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    np.savez(folder / "alexnet.npz", **lpips_weights.backbone("alex", 0))
    np.savez(folder / "alex.npz", **lpips_weights.linear("alex", 0))
    return [folder / "alexnet.npz", folder / "alex.npz"]


@pytest.fixture(scope="module")
def evaluated(trained, data, lpips_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    command = "python evaluate.py --workdir='a b'"
    metrics = evaluate(trained, data, "test", folder, tile=16, lpips=lpips_files, command=command, say=lambda _: None)
    return metrics, folder


@pytest.fixture(scope="module")
def mapped(trained, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("map")
    lines: list[str] = []
    product = map_scene(
        trained, open_scene(data.root / "sites" / "d", trained.meta.contract), folder, tile=20, say=lines.append
    )
    return product, lines


def test_evaluation_is_of_the_delivered_map(evaluated, mapped, data):
    metrics, _ = evaluated
    with rasterio.open(mapped[0].files["impervious"]) as raster:
        classes = raster.read(1)
    with rasterio.open(data.root / data.sites["d"].label) as raster:
        label = raster.read(1)
    delivered = Confusion.of(classes, label)
    assert delivered.pixels == metrics["pixels"] == int((label != 255).sum())
    figures = delivered.figures()
    # Tiles of 16 and of 20: classes may differ where |p - threshold| is within the halo's tolerance, and nowhere else.
    assert metrics["overall"]["isa"]["f1"] == pytest.approx(figures["isa"]["f1"], abs=2e-3)
    assert metrics["overall"]["oa"] == pytest.approx(figures["oa"], abs=2e-3)


def test_ground_of_ones_own_for_testing_only(trained, config, evaluated, tmp_path):
    """Its dataset has no training ground, so no statistics; the network brings its own."""
    config.dataset.path = str(tmp_path / "dataset")
    config.dataset.source.only = ("d",)
    config.dataset.split.table.train = config.dataset.split.table.validation = ()
    lines: list[str] = []
    own = prepare(config.dataset, say=lines.append)
    assert own.contract.primary.statistics is None
    assert any("no site is for training" in line for line in lines)
    metrics = evaluate(trained, own, "test", tmp_path / "figures", tile=16, say=lambda _: None)
    wanted = copy.deepcopy(evaluated[0]["overall"])
    for key in ("lpips", "lpips_bicubic", "lpips_chips"):  # was not asked for here
        del wanted["stages"][-1][key]
    assert wanted["fraction"].pop("regression_10m")["10m"]["cells"] > 0
    # Nothing to fit the baseline on.
    assert metrics["overall"]["fraction"].pop("regression_10m")["10m"]["cells"] == 0
    assert metrics["overall"] == wanted
    with pytest.raises(InputError, match="has no patches in split 'train'"):
        set_up(config)


@pytest.mark.slow
def test_a_site_without_a_label_is_judged_on_its_image(trained, config, tmp_path):
    dataset = config.dataset
    dataset.path = str(tmp_path / "dataset")
    dataset.source.only, dataset.source.label = ("d",), ""
    dataset.split.table.train = dataset.split.table.validation = ()
    metrics = evaluate(
        trained, prepare(dataset, say=lambda _: None), "test", tmp_path / "f", tile=16, say=lambda _: None
    )["overall"]
    assert metrics["pixels"] == 0
    assert metrics["isa"]["f1"] is None
    assert metrics["stages"][-1]["psnr"] > 0


def test_a_dataset_that_was_changed_is_not_judged_on(trained, data, tmp_path):
    shutil.copytree(data.root, tmp_path / "dataset")
    path = tmp_path / "dataset" / "sites" / "d" / "label.tif"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"label\.tif has changed since it was written"):
        evaluate(trained, datasets.load(tmp_path / "dataset"), "test", tmp_path / "f", tile=16, say=lambda _: None)


def test_where_nothing_can_be_written_is_said_before_anything_is_measured(trained, data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/figures cannot be written .*another folder for the output"):
        evaluate(trained, data, "test", tmp_path / "file" / "figures", tile=16, say=lambda _: None)


def test_of_two_evaluations_into_one_folder_the_second_is_refused(trained, data, tmp_path):
    with claim(tmp_path / "f", "evaluation", others="refuse"), pytest.raises(InputError, match="by another evaluation"):
        evaluate(trained, data, "test", tmp_path / "f", tile=16, say=lambda _: None)
    assert {path.name for path in (tmp_path / "f").iterdir()} == {".lock", "MADE_BY"}


@pytest.mark.slow
def test_the_same_tiles_give_the_same_confusion(trained, data, mapped, tmp_path):
    """Into the folder of an earlier evaluation, whose panels of other sites go."""
    (tmp_path / "metrics.json").write_text('{"sites": {"gone": {}}}')
    (tmp_path / "gone.png").write_text("")
    (tmp_path / "mine.png").write_text("")
    metrics = evaluate(trained, data, "test", tmp_path, tile=20, say=lambda _: None)
    charts = {"reliability.png", "sizes.png", "scales.png"}
    assert {path.name for path in tmp_path.glob("*.png")} == {"d.png", "mine.png", *charts}
    with rasterio.open(mapped[0].files["impervious"]) as raster:
        classes = raster.read(1)
    with rasterio.open(data.root / data.sites["d"].label) as raster:
        figures = Confusion.of(classes, raster.read(1)).figures()
    assert metrics["overall"]["isa"] == figures["isa"]
    assert metrics["overall"]["kappa"] == figures["kappa"]


def test_metrics_json_has_the_stated_shape(evaluated):
    metrics, folder = evaluated
    assert read_json(folder / "metrics.json") == metrics
    assert set(metrics["overall"]["isa"]) == {"precision", "recall", "f1", "iou"}
    for key in ("macro_f1", "oa", "kappa", "area_ratio", "calibration_error", "oracle_10m"):
        assert metrics["overall"][key] is not None
    assert metrics["overall"]["isa"]["f1"] <= metrics["overall"]["f1_best"] + 1e-3  # levels are thousandths
    assert 0 < metrics["overall"]["average_precision"] < 1
    assert [s["scale"] for s in metrics["overall"]["stages"]] == [4.0, 10.0]
    assert all(s["psnr"] > 5 and 0 < s["ssim"] <= 1 for s in metrics["overall"]["stages"])
    assert all(0 < s["spectral_angle"] < 90 > s["spectral_angle_bicubic"] > 0 for s in metrics["overall"]["stages"])
    first, last = metrics["overall"]["stages"]
    for found in (first["opensr_test"], first["opensr_test_bicubic"]):
        assert found["chips"] == 1
        assert found["improvement"] + found["omission"] + found["hallucination"] == pytest.approx(1)
    assert "opensr_test" not in last
    assert 0 < metrics["overall"]["support"] <= 1
    assert list(metrics["regions"]) == ["north"]
    assert list(metrics["sites"]) == ["d"]
    assert metrics["regions"]["north"] == metrics["sites"]["d"] == metrics["overall"]
    assert metrics["parameters"] > 1000
    assert (folder / "d.png").stat().st_size > 1000
    assert table({**metrics, "label": "built_proxy"}).splitlines()[0].startswith("built_proxy")
    assert "ISA" not in table(metrics)


def test_oracle_beats_chance(evaluated):
    assert evaluated[0]["overall"]["oracle_10m"]["isa"]["f1"] > 0.6


@pytest.mark.slow
def test_support_is_a_layer_on_request(trained, data, evaluated, tmp_path):
    """With the mean that the evaluation reports."""
    opened = open_scene(data.root / "sites" / "d", trained.meta.contract)
    product = map_scene(trained, opened, tmp_path / "map", tile=16, support=True, image=False, say=lambda _: None)
    assert set(product.files) == {"impervious", "probability", "support", "quicklook"}
    with rasterio.open(product.files["support"]) as raster, rasterio.open(data.root / data.sites["d"].label) as label:
        stored, known = raster.read(1), label.read(1) != 255
        assert (raster.nodata, raster.scales) == (255, (1 / 200,))
    assert set(np.unique(stored)) <= {*range(201), 255}
    assert stored[known & (stored != 255)].mean() / 200 == pytest.approx(evaluated[0]["overall"]["support"], abs=3e-3)


def test_the_product(mapped, trained, data):
    product, lines = mapped
    assert set(product.files) == {"impervious", "probability", "image", "quicklook"}
    assert any("impervious" in line for line in lines)
    for name in ("impervious", "probability", "image"):
        valid, errors, warnings = cog_validate(product.files[name])
        assert valid, (errors, warnings)
    with (
        rasterio.open(product.files["impervious"]) as classes,
        rasterio.open(product.files["probability"]) as probability,
    ):
        assert classes.shape == (360, 420)
        assert classes.transform.a == 1.0
        assert classes.bounds == rasterio.open(data.root / "sites/d/image.tif").bounds
        assert classes.crs == rasterio.open(data.root / "sites/d/image.tif").crs
        assert classes.nodata == probability.nodata == 255
        assert classes.colormap(1)[1][3] == 255
        assert probability.scales == (1 / 200,)
        tags = classes.tags()
        assert tags["LABEL"] == "impervious"
        assert tags["CLASSES"] == "0 pervious; 1 impervious"
        assert tags["RADIOMETRY"] == "contract"
        c, p = classes.read(1), probability.read(1)
    assert set(np.unique(c)) <= {0, 1, 255}
    np.testing.assert_array_equal(c == 255, p == 255)
    assert p[p != 255].max() <= 200
    threshold = trained.meta.calibration.threshold
    clear = np.abs(p / 200 - threshold) > 0.003
    known = (c != 255) & clear
    np.testing.assert_array_equal(c[known] == 1, p[known] / 200 > threshold)


def test_nodata_in_is_nodata_out(mapped, data):
    with rasterio.open(data.root / "sites/d/s2.tif") as raster:
        absent = (raster.read() == 0).any(0)
    assert absent.any()
    fine = np.repeat(np.repeat(absent, 10, 0), 10, 1)
    for name in ("impervious", "probability"):
        with rasterio.open(mapped[0].files[name]) as raster:
            np.testing.assert_array_equal(raster.read(1) == 255, fine)
    with rasterio.open(mapped[0].files["image"]) as raster:
        np.testing.assert_array_equal((raster.read() == 0).all(0), fine)
        assert raster.dtypes == ("uint16",) * 3
        assert raster.scales == (1e-4,) * 3


def test_the_map_lies_where_the_input_lies(mapped, data):
    """The super-resolved image, averaged back to 10 m, is the input and not the input shifted."""
    with rasterio.open(mapped[0].files["image"]) as raster:
        fine = raster.read().astype(float)
    with rasterio.open(data.root / "sites/d/s2.tif") as raster:
        coarse = raster.read([3, 2, 1]).astype(float)
    inner = np.s_[:, 4:-8, 4:-8]
    back = fine.reshape(3, 36, 10, 42, 10).mean((2, 4))
    still = np.abs(back - coarse)[inner].mean()
    for shift in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        assert still < 0.6 * np.abs(np.roll(back, shift, (1, 2)) - coarse)[inner].mean()


def test_another_datasets_contract_must_fit(trained, data, tmp_path):
    contract = data.contract
    other = dataclasses.replace(
        data,
        contract=contract.replace(
            modalities=(dataclasses.replace(contract.modalities[0], units="display"), *contract.modalities[1:])
        ),
    )
    with pytest.raises(InputError, match="does not fit the network"):
        evaluate(trained, other, "test", tmp_path, tile=16)


def test_a_split_without_ground_is_named(trained, data, tmp_path):
    sites = {"a": data.sites["a"]}
    with pytest.raises(InputError, match="no pixels in split 'test'; choose one of"):
        evaluate(trained, dataclasses.replace(data, sites=sites), "test", tmp_path, tile=16)


@pytest.mark.slow
def test_a_subset_of_modalities_is_enough(light, data, tmp_path):
    config = light.copy_and_resolve_references()
    config.data.inputs = ("s2",)
    config.steps = config.validate_every = config.checkpoint_every = 2
    train(config, tmp_path)
    trained = load_trained(tmp_path)
    assert [m.name for m in trained.meta.contract.modalities] == ["s2"]
    metrics = evaluate(trained, datasets.load(data.root), "test", tmp_path / "e", tile=20, say=lambda _: None)
    assert metrics["pixels"] > 0
    opened = open_scene(data.root / "sites" / "d" / "s2.tif", trained.meta.contract)
    product = map_scene(trained, opened, tmp_path / "m", tile=20, say=lambda _: None)
    assert product.valid_pixels > 0


def test_the_report_is_one_whole_page(evaluated):
    metrics, folder = evaluated
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == len(re.findall(r'src="data:image/png;base64,[A-Za-z0-9+/=]{100,}"', page)) == 4
    assert f"{metrics['overall']['isa']['precision']:.3f}" in page
    assert f"{metrics['overall']['fraction']['probability']['30m']['rmse']:.3f}" in page
    assert "<tr><td>mean probability</td><td>10 m</td>" in page
    assert not re.findall(r"<td>(\d+m|[a-z\d]+_[a-z\d_]+)</td>", page)  # keys of metrics.json
    assert f"{metrics['overall']['stages'][0]['spectral_angle_bicubic']:.3f}" in page
    assert f"{metrics['overall']['stages'][0]['opensr_test']['hallucination']:.3f}" in page
    assert f"{metrics['overall']['consistency']['rmse_over_noise']:.2f} times the noise" in page
    assert "python evaluate.py --workdir=&#x27;a b&#x27;" in page
    assert not re.search(r">[^<]*\b(nan|None)\b", page)


def test_the_markdown_report_refers_to_files_that_are_there(evaluated):
    _, folder = evaluated
    text = (folder / "report.md").read_text()
    files = re.findall(r"\]\((.+?\.png)\)", text)
    assert files == ["reliability.png", "sizes.png", "scales.png", "d.png"]
    assert all((folder / file).stat().st_size for file in files)
    stored = json.loads((folder / "metrics.json").read_text())
    assert f"| all | {stored['pixels'] / 1e6:.2f} | {stored['overall']['isa']['precision']:.3f}" in text


def test_lpips_with_the_weights_that_the_user_names(evaluated, lpips_files):
    """The 1 m image and the bicubic one are judged at every place that the whole site has; the files are stated."""
    metrics, folder = evaluated
    assert metrics["lpips"]["backbone"] == "AlexNet"
    assert [file["name"] for file in metrics["lpips"]["files"]] == ["alexnet.npz", "alex.npz"]
    assert metrics["lpips"]["files"][1]["sha256"] == hashlib.sha256(lpips_files[1].read_bytes()).hexdigest()
    first, last = metrics["overall"]["stages"]
    assert "lpips" not in first
    assert last["lpips_chips"] == 5 * 6 - 1  # a corner has no data
    page = (folder / "report.html").read_text()
    for key in ("lpips", "lpips_bicubic"):
        assert 0.01 < last[key] < 1
        assert f"{last[key]:.3f}" in page
        assert f"{last[key]:.3f}" in table(metrics)
    assert metrics["lpips"]["files"][0]["sha256"] in page


def test_lpips_is_refused_before_anything_is_measured(trained, data, tmp_path):
    (tmp_path / "a.pth").write_text("no weights")
    for network, match in (
        (trained, r"a\.pth contains no weights"),
        (dataclasses.replace(trained, model=trained.model.clone(control="bilinear")), "makes no image at 1 m"),
    ):
        with pytest.raises(InputError, match=match):
            evaluate(network, data, "test", tmp_path / "figures", tile=20, lpips=[tmp_path / "a.pth"])
    assert not (tmp_path / "figures").exists()


def test_intervals_go_by_the_words_of_the_field(evaluated, trained, data, tmp_path):
    metrics = copy.deepcopy(evaluated[0])
    keys = [key for key in metrics["overall"]["intervals"] if key != "blocks"]
    metrics["overall"]["intervals"] = {"blocks": 12, **{key: [0.25, 0.5] for key in keys}, "iou": None}
    report.write(tmp_path, metrics, trained, data, [])
    rows = re.findall(r"<td>([^<]+)</td><td>0\.250</td><td>0\.500</td>", (tmp_path / "report.html").read_text())
    assert rows == ["precision", "recall", "F1", "area, mapped / reference"]
    assert len(keys) == 5
    assert "| IoU | - | - |" in (tmp_path / "report.md").read_text()
