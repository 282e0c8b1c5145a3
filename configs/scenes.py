"""Any folder of 1 m scenes with a label, with simulated 10 m input.

    jointseg prepare --config=scenes:root=DIR --config.dataset.split.table.train="('a','b')" ...
    jointseg train --config=scenes:root=DIR --workdir=runs/scenes

DIR holds <scene>/image.tif (or .vrt; red, green, blue, uint8, 1 m, UTM) and <scene>/landcover.tif on the same pixels.
The label is called `built_proxy`: land-cover classes of such scenes draw whole blocks and leave out paved yards, so
claim no areas from them. The 10 m input is SIMULATED Sentinel-2: published MTF and SNR, applied in linear light.
"""

from ml_collections import ConfigDict

from jointseg_jax.bounds.number import whole
from jointseg_jax.configs import common
from jointseg_jax.errors import InputError


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: root=DIR, stages=4x2.5, control=joint, dates=1 (acquisitions simulated and trained on).

    weights=FILE begins with a published RRDBNet x4, such as RealESRGAN_x4plus.pth, as stage 1, which gets its size.
    """
    given = common.parse_arg(arg, root="", stages="4x2.5", control="joint", dates="1", weights="")
    return build("scenes", given)


def build(name: str, given: ConfigDict) -> ConfigDict:
    """The config of a scene dataset called `name`."""
    config = common.experiment(name)
    config.dataset = common.dataset(name)
    d = config.dataset
    d.source.kind = "scenes"
    if given.root:
        d.source.root = given.root
    d.source.missing = (
        "Put <scene>/image.tif and <scene>/landcover.tif into a folder and run "
        "`jointseg prepare --config=scenes:root=FOLDER`"
    )
    d.source.label = "landcover.tif"
    d.inputs = ("s2",)
    d.modalities.s2 = ConfigDict({"bands": ("R", "G", "B"), "spacing": 10.0, "units": "display"})
    d.image_bands = ("R", "G", "B")
    d.label.name = "built_proxy"
    # 0 ignore, 1 building, 2 unpaved land, 3 road, 4 vegetation, 5 water
    d.label.classes = ((0, 255), (1, 1), (2, 0), (3, 1), (4, 0), (5, 0))
    d.simulate.enabled = True
    d.simulate.dates = common.whole(given, "dates", whole(1, 100))
    if d.simulate.dates > 1:
        d.path += f"-dates{d.simulate.dates}"
        config.data.date_dropout = 1.0  # one network maps with one date up to all of them
    d.composite = "simulated Sentinel-2 from an 8-bit display stretch"

    config.model = common.model(given.stages, blocks=(4, 2), features=32, growth=16, tail=8, finest_trunk=10.0)
    config.model.widths = (8, 32, 64)  # on this ground as good as twice the width, at half the cost
    config.data.batch = 4
    config.steps = 1200  # about twenty minutes on two CPU cores; more steps are better
    config.validate_every = config.checkpoint_every = 200
    config.optimizer.learning_rate = 2e-3  # super-resolution learns too slowly at 1e-3
    config.optimizer.warmup = 20
    config.data.sensor_spread = ConfigDict({"mtf": 0.06, "shift": 0.05, "gain": 0.03, "snr": 2.0})
    common.apply_control(config, given.control)
    if given.weights:
        _begin_with(config, given.weights)
    return config


def _begin_with(config: ConfigDict, weights: str) -> None:
    """Makes stage 1 the published RRDBNet x4 of a file.

    Raises:
        InputError: the first factor is not 4, or the network has no stages.
    """
    model = config.model
    if model.stages[0] != "4" or model.control not in ("joint", "sequential"):
        raise InputError(
            f"weights={weights} is for a first stage of factor 4: use stages=4x2.5 and control=joint, or leave it out"
        )
    published = {"blocks": 23, "features": 64, "growth": 32, "tail_features": 64}
    for field, size in published.items():
        model[field] = (size, *model[field][1:])
    model.subpixel = False  # the published network has no such convolution
    config.init_from = weights
