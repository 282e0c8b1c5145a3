"""The embedded landscape: takes minutes on two cores and needs no data.

    jointseg prepare --config=demo
    jointseg train --config=demo --workdir=runs/demo
    jointseg train --config=demo:control=bilinear --workdir=runs/demo-bilinear
    jointseg train --config=demo:inputs=s2 --workdir=runs/demo-s2

The last one maps any Sentinel-2 raster with B02, B03, B04 and B08, without radar, elevation and the bands of 20 m.

A made-up river basin with mountains upstream, a plain midstream and a city downstream, seen by a simulated Sentinel-2.
Scores on it check the software; they are no evidence about real ground.
"""

from ml_collections import ConfigDict

from jointseg_jax.bounds.number import whole
from jointseg_jax.configs import common
from jointseg_jax.errors import InputError

INPUTS = ("s2", "s2_20m", "s1", "dem")


def chosen_inputs(text: str) -> tuple[str, ...]:
    """The inputs of a text such as `s2+s1`, in the order of the dataset; empty for all.

    Raises:
        InputError: one is unknown, or the first of the dataset, which holds the image bands, is not among them.
    """
    given = set(text.split("+"))
    if INPUTS[0] not in given or not given <= set(INPUTS):
        raise InputError(f"inputs={text} must be {INPUTS[0]}, alone or with others of {'+'.join(INPUTS)}")
    return () if given == set(INPUTS) else tuple(name for name in INPUTS if name in given)


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: stages=4x2.5, control=joint, sites=4 (per sub-region), side=720 (metres), inputs=s2 (all).

    Inputs are such as s2+s1; fewer than all are trained on the same dataset.
    """
    given = common.parse_arg(arg, stages="4x2.5", control="joint", sites="4", side="720", inputs="+".join(INPUTS))
    sites, side = common.whole(given, "sites", whole(3, 250)), common.whole(given, "side", whole(240, 12_000))
    config = common.experiment("demo")
    config.steps = 120
    config.log_every = 10
    config.validate_every = config.checkpoint_every = 60
    config.data.batch = 4
    config.mesh.data = 1  # one device is enough; a batch of 4 divides over at most four
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup = 10

    config.dataset = common.dataset("demo")
    d = config.dataset
    d.source.kind = "landscape"
    d.source.root = "datasets/demo/raw"
    d.source.landscape = ConfigDict({"sites": sites, "side": side, "years": (2021,), "seed": 0})
    d.source.layers = ConfigDict(common.SENTINEL2_FILES)
    d.source.cloud = ("scl.tif",)
    d.modalities = common.sentinel2()
    d.inputs = INPUTS
    config.data.inputs = chosen_inputs(given.inputs)
    d.licence = "CC0-1.0"
    d.provenance = "embedded procedural landscape, simulated Sentinel-2"
    d.composite = "single acquisition, simulated Sentinel-2"
    d.patch = 24
    d.stride = 12
    regions = ("upstream", "midstream", "downstream")
    numbers = range(1, sites + 1)
    d.split.table.train = tuple(f"{r}-{n}" for r in regions for n in numbers[:-2])
    d.split.table.validation = tuple(f"{r}-{numbers[-2]}" for r in regions)
    d.split.table.test = tuple(f"{r}-{numbers[-1]}" for r in regions)

    config.model = common.model(given.stages, blocks=(2, 1), features=24, growth=12, tail=8, finest_trunk=10.0)
    config.model.widths = (8, 32, 48)
    config.model.dilations = (1, 2, 4, 8)
    common.apply_control(config, given.control)
    return config
