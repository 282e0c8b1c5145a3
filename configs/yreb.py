"""The Yangtze River Economic Belt: a network for accelerators, or the paper's recipe.

    jointseg prepare --config=yreb --config.dataset.source.root=DIR
    jointseg train --config=yreb --workdir=runs/yreb
    jointseg train --config=yreb:control=bilinear --workdir=runs/yreb-bilinear
    jointseg train --config=yreb:network=paper --workdir=runs/yreb-paper
    jointseg train --config=yreb:network=paper,vgg=vgg19-dcbb9e9d.pth --workdir=runs/yreb-paper

The paper's data may not be redistributed (Sentinel-2, Jilin-1 imagery of 2022, labels from OpenStreetMap, footprints
and SAM), so bring your own. DIR holds sites.csv (columns site, region, date, folder) and per site s2.tif (B02 B03 B04
B08, 10 m, the product's numbers), image.tif (red, green, blue, 1 m), label.tif (0, 1, 255 unknown, on the image's
pixels) and, where available, scl.tif (a site without it keeps its clouds, and preparation says so).
docs/your-own-data.md has the details.

The default network works at 10 and 5 m: trunks of 12 + 8 RRDBs at 10 m, the sensor's inverse as the base, a segmenter
of 16, 96 and 192 channels; 19,435,506 parameters, 45.0 MFLOP per 10 m pixel. Nobody has trained it yet.

`network=paper` is the paper's recipe as far as it is known: Sentinel-2 RGB in, a 1 m map and a 1 m image out, ESRGAN x4
first, a second stage that sees the enlarged input and the first stage's image, joint training, an adversarial phase.
Ours are the x2.5 of the second stage (arithmetic), every size and weight (ESRGAN's, BasicSR's and Real-ESRGAN's
defaults: 23 + 23 RRDBs, the second trunk at 2.5 m, bicubic base), the segmenter and the schedule. The second half of
its steps is adversarial, with the L1 kept: discriminator 0.1, and feature matching 1, or the perceptual loss 1 where
`vgg` names VGG19's weights. 34,542,578 parameters, 584.3 MFLOP per 10 m pixel.

Both are for accelerators; XLA unrolls the blocks on CPUs, where compiling alone takes minutes.
"""

from ml_collections import ConfigDict

from jointseg_jax.configs import common
from jointseg_jax.errors import InputError

NETWORKS = ("default", "paper")
ADVERSARIAL_CONTROLS = ("joint", "sequential")  # whose images are supervised


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: network=default (or paper), vgg=FILE (of network=paper), stages=4x2.5, control=joint.

    `stages` may be 10, 2x5, ...; `control` one of `common.CONTROLS`.
    """
    given = common.parse_arg(arg, network="default", vgg="", stages="4x2.5", control="joint")
    if given.network not in NETWORKS:
        raise InputError(f"network={given.network} is unknown: use one of {', '.join(NETWORKS)}")
    if given.vgg and given.network != "paper":
        raise InputError(f"vgg={given.vgg} belongs to network=paper: give both, or neither")
    config = common.experiment("yreb")
    config.steps = 400_000
    config.validate_every = config.checkpoint_every = 5_000
    config.log_every = 100
    config.validate_patches = 512
    config.data.batch = 16
    config.data.threads = 8
    config.data.inputs = ("s2",)
    config.optimizer.warmup = 1_000

    config.dataset = common.dataset("yreb")
    d = config.dataset
    d.source.missing = (
        "Put sites.csv and one folder per site with s2.tif, image.tif and label.tif into a folder DIR "
        "(docs/your-own-data.md), "
        "then run `jointseg prepare --config=yreb --config.dataset.source.root=DIR`"
    )
    d.modalities = common.sentinel2()
    d.modalities.s2.bands = ("B04", "B03", "B02")
    d.inputs = ("s2",)
    d.source.layers = ConfigDict({"s2": ("s2.tif",)})
    d.source.cloud = ("scl.tif",)
    d.patch = 64
    d.stride = 32
    d.split.by = "block"
    d.split.block = 512  # smaller blocks would leave most of the ground to the gap
    d.split.gap = 64 + 32

    common.apply_control(_with_network(config, given), given.control)
    return config


def _with_network(config: ConfigDict, given: ConfigDict) -> ConfigDict:
    """Sets the network and, with the paper's, its adversarial phase."""
    if given.network == "default":
        config.model = common.model(given.stages, blocks=(12, 8), features=64, growth=32, tail=16, finest_trunk=10.0)
        config.model.widths = (16, 96, 192)
        return config
    config.model = common.model(given.stages, blocks=(23, 23), features=64, growth=32, tail=64, finest_trunk=2.0)
    config.model.back_projections = 0
    config.model.subpixel = False
    config.model.remat = "blocks"
    if given.control in ADVERSARIAL_CONTROLS:
        config.loss.sr = 1.0  # the weights of the phase are relative to it
        phase = config.adversarial
        phase.weight = 0.1
        phase.vgg = given.vgg or None
        phase.perceptual, phase.feature_matching = (1.0, 0.0) if given.vgg else (0.0, 1.0)
        phase.start, phase.ramp = config.steps // 2, 5_000
        phase.crop = 256
    return config
