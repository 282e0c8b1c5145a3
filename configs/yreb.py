"""The paper's full set-up for the Yangtze River Economic Belt.

    python prepare.py --config=configs/yreb.py --config.dataset.source.root=DIR
    python train.py --config=configs/yreb.py --workdir=runs/yreb
    python train.py --config=configs/yreb.py:control=bilinear --workdir=runs/yreb-bilinear

The paper's data may not be redistributed (Sentinel-2, Jilin-1 imagery of 2022, labels from OpenStreetMap, footprints
and SAM), so bring your own. DIR holds sites.csv (columns site, region, date, folder) and per site s2.tif (B02 B03 B04
B08, 10 m, the product's numbers), image.tif (red, green, blue, 1 m), label.tif (0, 1, 255 unknown, on the image's
pixels) and, where available, scl.tif (a site without it keeps its clouds, and preparation says so).
docs/your-own-data.md has the details.

From the paper: Sentinel-2 RGB in, a 1 m map and a 1 m image out, ESRGAN x4 first, a second stage that sees the
enlarged input and the first stage's image, joint training, sub-regions. Ours: the x2.5 of the second stage
(arithmetic), every size and weight below (ESRGAN's and BasicSR's defaults), the segmenter, losses and schedules. The
adversarial phase has weight 0 here: --config.adversarial.weight=0.1 turns it on (docs/training.md). 23 + 23 blocks are
for accelerators; XLA unrolls them on CPUs, where compiling alone takes minutes.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: stages=4x2.5 (or 10, 2x5, ...), control=joint (or another of `common.CONTROLS`)."""
    given = common.parse_arg(arg, stages="4x2.5", control="joint")
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
        "then run `python prepare.py --config=configs/yreb.py --config.dataset.source.root=DIR`"
    )
    d.modalities = common.sentinel2()
    d.modalities.s2.bands = ("B04", "B03", "B02")
    d.inputs = ("s2",)
    d.source.layers = ConfigDict({"s2": ("s2.tif",)})
    d.source.cloud = "scl.tif"
    d.patch = 64
    d.stride = 32
    d.split.by = "block"
    d.split.block = 512  # smaller blocks would leave most of the ground to the gap
    d.split.gap = 64 + 32

    config.model = common.model(given.stages, blocks=(23, 23), features=64, growth=32, tail=64, finest_trunk=2.0)
    config.model.remat = "blocks"
    common.apply_control(config, given.control)
    return config
