"""Makes `tests/data_files/formats/N`: one of everything this program writes and reads again, at the formats of today.

    python tests/data_files/formats/make.py N

Run it when a version in `jointseg_jax/storage/formats.py` is raised, and keep the older folders: they were made by the
versions of the program that wrote them. Everything is made in one fixed folder, because records hold absolute paths.
"""

import contextlib
import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ["JAX_PLATFORMS"] = "cpu"
FOLDER = pathlib.Path("/tmp/jointseg-jax-formats")


def main(version: str) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    raw = FOLDER / "raw"
    raw.mkdir(parents=True)
    config = dataset(raw)
    trained = run(config)
    product(trained, raw)
    change()
    records(trained)
    assessment()
    target = pathlib.Path(__file__).parent / version
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        FOLDER, target, ignore=shutil.ignore_patterns(".lock", ".*", "raw", "quicklook.png", "sources", "ground")
    )


def coarse(image):
    """An image [bands, h, w] without detail below 10 m, which takes little room."""
    bands, height, width = image.shape
    mean = image.reshape(bands, height // 10, 10, width // 10, 10).mean((2, 4))
    return mean.round().repeat(10, 1).repeat(10, 2)


def dataset(raw):
    """A dataset of two sites of 240 m, and the config of a network of some hundred parameters."""
    import harness
    import toy

    from jointseg_jax.data.prepare.preparation import prepare

    for seed, name in enumerate("ab"):
        toy.write_site(raw / name, seed, 24, 24)
        toy.rewrite(raw / name / "image.tif", values=coarse)
    (raw / "sites.csv").write_text("site,region,date,folder\na,south,2021-06-01,a\nb,south,2021-06-01,b\n")
    config = harness.speck(toy.config(raw, FOLDER / "dataset"))
    config.data.inputs = config.dataset.inputs = ("s2",)
    config.dataset.source.layers = {"s2": ("s2.tif",)}
    config.dataset.patch, config.dataset.stride = 4, 4
    config.dataset.split.table = {"train": ("a",), "validation": ("b",), "test": ()}
    prepare(config.dataset)
    return config


def run(config):
    """A work directory with a checkpoint of step 0."""
    from jointseg_jax.training.calibration import Calibration
    from jointseg_jax.training.checkpoints.writing import Checkpoints
    from jointseg_jax.training.set_up import set_up
    from jointseg_jax.training.trained import load_trained

    experiment = set_up(config)
    with contextlib.closing(Checkpoints(FOLDER / "run")) as checkpoints:
        fitted = Calibration(1.5, 0.45, 0, {"f1": 0.5, "iou": 0.3})
        checkpoints.save(experiment.init(), experiment.meta(fitted))
        checkpoints.wait()
    return load_trained(FOLDER / "run")


def product(trained, raw):
    """A map of a small area with its plan, catalogue and ledger; halo and rate beside the checkpoint."""
    from jointseg_jax.jobs.executors import Serial
    from jointseg_jax.mapping.area.map_area import map_area
    from jointseg_jax.mapping.area.plan_area import plan_area
    from jointseg_jax.mapping.area.product_plan import Settings
    from jointseg_jax.mapping.predictor import halo

    halo.measure = lambda *_: halo.HaloMeasurement(4, {"2": 0.1, "4": 0.0}, 48, met=True)
    scenes = FOLDER / "scenes" / "early_20210601"
    scenes.mkdir(parents=True)
    shutil.copy(raw / "a" / "s2.tif", scenes)
    plan = plan_area(trained, scenes.parent, None, FOLDER / "product", Settings(grid=1000, tile=12))
    map_area(trained, plan, FOLDER / "product", Serial())
    shutil.rmtree(FOLDER / "scenes")


def change():
    """What was decoded from maps of three years of made-up ground; the maps themselves are not kept."""
    sys.path.insert(0, str(ROOT / "tests" / "change"))
    import numpy as np
    import shapely
    import year_products

    from jointseg_jax.change.run_monitor import run_monitor
    from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
    from jointseg_jax.jobs.executors import Serial

    year_products.HIGH, year_products.WIDE = 160, 320
    year_products.LEFT -= 160  # two tiles
    left, top = year_products.LEFT, year_products.TOP
    states = np.zeros((3, 160, 320), np.uint8)
    states[:, 30:50, 20:300] = states[1:, 70:110, 40:80] = states[2:, 90:130, 200:230] = 1
    states[2, 30:50, 280:] = 0  # cleared
    maps = {}
    for k, year in enumerate(("2017", "2019", "2023")):
        probabilities = 0.02 + 0.96 * states[k]
        probabilities[: 20 * k, :40] = np.nan
        image = year_products.scene_of(states[k], k)
        maps[year] = year_products.write_year(FOLDER / "ground" / year, year, probabilities, image)
    east = to_degrees(shapely.box(left + 160, top - 160, left + 320, top), zone_of_epsg(year_products.EPSG))
    run_monitor(maps, FOLDER / "monitor", year_products.SETTINGS, Serial(), regions={"east": east})
    shutil.rmtree(FOLDER / "monitor" / "inputs")


def records(trained):
    """What only long runs measure."""
    from jointseg_jax.mapping.predictor import confidence
    from jointseg_jax.mapping.predictor import uncertainty as u
    from jointseg_jax.mapping.predictor.applicability import Applicability
    from jointseg_jax.storage import formats, typed

    measured = {
        **vars(confidence.key(trained, "float32")),
        "auroc": 0.8,
        "curve": [{"coverage": 0.5, "risk": 0.1}, {"coverage": 1.0, "risk": 0.2}],
        "dataset": "toy",
        "split": "test",
        "pixels": 10,
    }
    formats.write_record(trained.workdir / confidence.FILE, measured, formats.CONFIDENCE)
    sides = {side: (u.Interval(0, -20, 30), u.Interval(60, -40, 50)) for side in ("10m", "30m", "100m")}
    worth = u.Worth((0.9, None), 0.1, 0.0, dict.fromkeys(sides, u.Covered(10, 0.9, 0.2)), 0.2, 0.1, None, 0.6, 100)
    record = u.Uncertainty(
        **vars(u.key(trained, "float32", False)), alpha=0.1, highest_0=120, lowest_1=80, intervals=sides,
        applicability=Applicability(bytes(64), (1.0,) * 8, 5.0, 0.5), calibrated_on="toy, validation",
        measured=u.Measured("toy", "test", worth, {"south": worth}),
    )  # fmt: skip
    formats.write_record(trained.workdir / u.FILE, typed.plain(record), formats.UNCERTAINTY)
    landscape = {"version": 2, "region": "midstream", "year": 2021, "side": 720, "seed": 4}
    formats.write_record(FOLDER / "landscape.json", landscape, formats.LANDSCAPE)


def assessment():
    """Samples of points and of blocks from made-up ground, with answers; and the records of the assessed product."""
    sys.path.insert(0, str(ROOT / "tests" / "evaluation" / "accuracy"))
    sys.path.insert(0, str(ROOT / "tests" / "mapping"))
    from known_ground import make_product

    from jointseg_jax.commands import estimate, sample

    ground, target = make_product(FOLDER / "ground"), FOLDER / "accuracy"
    draws = {
        "points": ("--points=60", "--minimum=8", "--density=0.05"),
        "blocks": ("--block=50", "--points=20", "--minimum=2"),
    }
    for kind, given in draws.items():
        assert sample.main([f"--product={ground}", f"--output={target / kind}", "--no-page", *given]) == 0
        lines = (target / kind / "sample.csv").read_text().splitlines()
        answers = ["id,class"]
        for number, (own, *_, mapped, _, _) in enumerate(line.split(",") for line in lines[1:]):
            other = {"pervious": "impervious", "impervious": "pervious"}[mapped]
            answers.append(f"{own},{other if number % 7 == 0 else mapped}")
        (target / kind / "answers.csv").write_text("\n".join(answers) + "\n")
    points = target / "points"
    given = [f"--design={points}", f"--answers={points / 'answers.csv'}", f"--product={ground}"]
    assert estimate.main(given) == 0
    unread = shutil.ignore_patterns("tiles", "mosaics", "sources", "index.*", "*.qgs", ".*", "*.png")
    shutil.copytree(ground, target / "product", ignore=unread)


if __name__ == "__main__":
    main(sys.argv[1])
