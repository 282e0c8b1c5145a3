"""Fields that all experiments share, with the defaults of the paper or of the field.

The config argument sets the structure (`configs/dubai.py:control=bilinear,stages=10`), flags set scalars
(`--config.optimizer.learning_rate=1e-4`).
"""

from fractions import Fraction

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from jointseg_jax.bounds.kinds import Ratio
from jointseg_jax.bounds.number import Number
from jointseg_jax.errors import InputError

CONTROLS = ("joint", "capacity", "sequential", "bilinear", "deconvolved", "fine", "coarse")


def parse_arg(arg: str | None, **known: str) -> ConfigDict:
    """Parses `key=value,key=value` behind the config's path; `known` holds the defaults.

    Raises:
        InputError: an unknown key, or a part that is not key=value.
    """
    given = dict(known)
    for part in filter(None, (arg or "").split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            raise InputError(
                f"config argument {part!r} is unknown: use some of " + ", ".join(f"{k}={v}" for k, v in known.items())
            )
        given[key] = value
    return ConfigDict(given)


def whole(given: ConfigDict, key: str, kind: Number) -> int:
    """A config argument as a whole number.

    Raises:
        InputError: the argument is not of that kind.
    """
    try:
        return int(kind.parse(given[key]))
    except ValueError as error:
        raise InputError(f"config argument {key}={given[key]} {error}") from error


def apply_control(config: ConfigDict, control: str) -> None:
    """Sets what the segmenter sees. "capacity" is the joint network without SR supervision.

    Raises:
        InputError: an unknown control.
    """
    if control not in CONTROLS:
        raise InputError(f"control={control} is unknown: use one of {', '.join(CONTROLS)}")
    config.model.control = "joint" if control == "capacity" else control
    if control == "capacity":
        config.loss.sr = 0.0


def model(
    stages: str, *, blocks: tuple[int, ...], features: int, growth: int, tail: int, finest_trunk: float
) -> ConfigDict:
    """The network.

    Args:
        stages: factors such as "4x2.5", "10", "2x5".
        blocks: RRDBs per stage; the last entry applies to any further stage.
        features: trunk channels of every stage.
        growth: growth of its dense blocks.
        tail: channels behind the trunk.
        finest_trunk: trunks run no finer than this spacing in metres (at most 10), by pixel unshuffle.
    """
    factors = tuple(stages.split("x"))
    spacings = _trunk_spacings(stages, factors, finest_trunk)
    count = len(factors)
    return ConfigDict(
        {
            "stages": factors,
            "blocks": tuple(blocks[min(i, len(blocks) - 1)] for i in range(count)),
            "features": (features,) * count,
            "growth": (growth,) * count,
            "tail_features": (tail,) * count,
            "trunk_spacing": tuple(spacings),  # metres; the stage's own input lattice or a whole multiple of it
            "subpixel": True,  # trunks also add to their images directly, around a narrow tail
            "lattices": ("1", "5", "10"),  # of the segmenter, metres: its exit, then its levels
            "widths": (8, 48, 96),
            "segmenter_blocks": 1,
            "dilations": (1, 2, 4, 8, 16),  # of the blocks at 10 m, one each: the segmenter's context
            "attention": True,
            "fusion": True,  # the segmenter sees the features of super-resolution, and not only its image
            "back_projections": 6,  # of the base image with the sensor's MTF; 0: bicubic
            "consistent": False,  # the sensor would see the input in every stage's image
            "date_features": 16,  # channels that encode several acquisitions
            "control": "joint",
            "dtype": "float32",
            "scan": placeholder(bool),  # loop over blocks instead of unrolling them; unset: by platform
            "remat": "none",  # or "blocks", "dense": recompute the inside of RRDBs, or of their dense blocks
        }
    )


def _trunk_spacings(stages: str, factors: tuple[str, ...], finest_trunk: float) -> list[str]:
    """Spacing of the trunk of each stage, metres, as text.

    Raises:
        InputError: a factor is not above 1, their product is not 10, or a lattice between does not divide the 10 m
            pixel.
    """
    spacings, before = [], Fraction(10)
    for factor in factors:
        if Ratio(1, 10).fault(factor) or Fraction(factor) == 1:
            raise InputError(
                f"stages={stages} must be a list of factors above 1, such as 4x2.5, but {factor!r} is not such a factor"
            )
        # Every lattice must divide the 10 m pixel, as tiles may begin at any of them.
        multiples = [before * u for u in (1, 2, 4, 5, 10)]
        fine_enough = [s for s in multiples if (10 / s).denominator == 1 and s >= finest_trunk]
        if (10 / before).denominator != 1 or not fine_enough:
            raise InputError(
                f"stages={stages}: the lattice of {float(before):g} m before the factor {factor} does not divide the "
                "10 m pixel: put the factors in another order, such as 4x2.5"
            )
        spacings.append(str(float(fine_enough[0])))
        before /= Fraction(factor)
    if before != 1:
        raise InputError(
            f"stages={stages}: the product of the factors is {float(10 / before):g}, but must be 10, such as 4x2.5"
        )
    return spacings


def experiment(name: str) -> ConfigDict:
    """Everything but the dataset and the network."""
    config = ConfigDict()
    config.name = name
    config.seed = 0
    config.steps = 10_000
    config.log_every = 20
    config.validate_every = 500
    config.validate_patches = placeholder(int)  # number of patches, evenly spread; unset: all
    config.checkpoint_every = 500
    config.keep = 2
    config.panels = 4
    config.max_skipped = 20  # updates in a row that are not finite, before the run gives up
    config.incidents = 3  # number of them dumped, for `jointseg reproduce`
    config.init_from = placeholder(str)  # weights to start from, see jointseg train --init-from
    config.wandb = placeholder(str)  # Weights & Biases project; unset: none

    config.data = ConfigDict()
    config.data.inputs = ()  # modalities, the first holding the image bands; empty: all of the dataset
    config.data.batch = 16
    config.data.threads = 2
    config.data.workers = 0
    config.data.augment = True  # flips and right-angle turns
    config.data.jitter = 0.0  # spread of a random gain on input and image together
    # Each date but one is masked with a probability that every sample draws between 0 and this; at 1, all numbers of
    # dates are equally frequent.
    config.data.date_dropout = 0.0
    config.data.sensor_spread = placeholder(
        ConfigDict
    )  # re-simulate the input per patch (datasets simulated from the image)

    config.loss = loss()
    config.adversarial = adversarial()

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 2e-4
    config.optimizer.betas = (0.9, 0.99)
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 100
    config.optimizer.end_factor = 0.02
    config.optimizer.clip = 1.0
    config.optimizer.ema = 0.999
    config.optimizer.frozen = ()  # patterns in parameter paths, such as "sr/stage1", that are not trained
    config.optimizer.accumulate = 1  # pieces of a batch, computed one after another to save memory

    config.mesh = ConfigDict()
    config.mesh.data = -1  # devices that share the samples of a batch; -1: all there are
    config.mesh.space = 1  # devices that share the rows of a sample
    config.mesh.rules = ()  # (("kernel", "largest"),) spreads kernels, their averages and moments over `data`
    return config


def loss() -> ConfigDict:
    """The joint objective."""
    config = ConfigDict()
    config.sr = 3.0  # ours; with 1 the segmentation outweighs it in the SR branch (docs/results.md)
    config.stages = (1.0,)  # one per stage, or one for all
    config.shift = 0.0  # metres within which the L1 finds the best whole-pixel shift (real pairs are misregistered)
    config.cross_entropy = 1.0
    config.dice = 1.0
    config.class_balance = 0.0  # weights share ** -power of the classes in the cross-entropy; 0.5 is usual
    # True share of impervious ground, for labels that miss some of it but are right where they show it: class 0 then
    # counts as unknown (positive-unlabelled loss). 0: the labels are complete.
    config.prior = 0.0
    config.boundary = 0.0
    config.boundary_reach = 3  # 1 m pixels on either side of an edge
    config.affinity = 0.0  # DSRL's feature affinity between SR branch and segmenter
    config.affinity_grid = 16  # cells down a patch
    config.weighting = "fixed"  # or "uncertainty": SR and segmentation weighted by learned uncertainties
    config.segmentation_start = 0  # steps of super-resolution alone
    config.segmentation_ramp = 0  # steps over which the weight of segmentation then rises
    return config


def adversarial() -> ConfigDict:
    """The adversarial phase; it is off while its three weights are 0."""
    # Real-ESRGAN: weight 0.1, perceptual 1, loss.sr 1; ESRGAN: relativistic, 0.005, perceptual 1, loss.sr 0.01.
    config = ConfigDict()
    config.weight = 0.0  # of the adversarial loss
    config.kind = "vanilla"  # or "relativistic"
    config.feature_matching = 0.0  # of the L1 between the discriminator's features
    config.perceptual = 0.0  # of the L1 between VGG19's activations
    config.vgg = placeholder(str)  # its weights: torchvision's vgg19-*.pth, or an .npz of the same names
    config.layers = (
        ("conv1_2", 0.1), ("conv2_2", 0.1), ("conv3_4", 1.0), ("conv4_4", 1.0), ("conv5_4", 1.0)
    )  # fmt: skip
    config.start = 0  # the first step of the phase
    config.ramp = 0  # steps over which its weights rise
    config.features = 64  # of the discriminator, at full resolution
    config.sees_input = False  # the discriminator sees the upsampled input beside the image
    config.crop = 0  # side of the crop that the discriminator and VGG19 see, in 1 m pixels; 0: the whole patch
    config.learning_rate = 1e-4
    return config


def dataset(name: str) -> ConfigDict:
    """The dataset that `jointseg prepare` makes and `jointseg train` reads."""
    config = ConfigDict()
    config.name = name
    config.path = f"datasets/{name}"
    config.licence = ""
    config.provenance = ""
    config.composite = "single acquisition"
    config.seed = 0

    config.source = ConfigDict()
    # "table": root/sites.csv; "scenes": root/<scene>/; "archive": the files of each site are chosen among many;
    # "landscape": made by the program.
    config.source.kind = "table"
    config.source.root = placeholder(str)
    config.source.missing = "give its folder with --config.dataset.source.root=DIR"
    config.source.only = ()
    config.source.image = "image.*"
    config.source.label = "label.tif"
    config.source.vectors = ()
    config.source.built_up = ""  # footprints or a raster of built-up ground, which tells where vectors are missing
    # Masks of cloud, one per date, used at the sites that have them; `FILE#BAND` is one band. Without any, products as
    # .SAFE are masked by their own scene classification.
    config.source.cloud = ()
    # Of an archive: a vector file of polygons or centres, in root or elsewhere; the side in metres of the square around
    # a centre; days that an acquisition may lie before or after the image; acquisitions per site.
    config.source.sites = ""
    config.source.side = 1000
    config.source.days = 30
    config.source.dates = 1
    config.source.composite = "none"  # of several dates of reflectance: "best" keeps one, "medoid" joins them by pixel
    # Modality -> file names, one per date (of an archive: patterns of the files that may serve). A site may
    # lack all files of any modality but the first.
    config.source.layers = ConfigDict()

    config.inputs = ()
    config.modalities = ConfigDict()
    config.image_bands = ("B04", "B03", "B02")
    config.match_image = True
    config.warp = False  # resample rasters of another CRS or spacing onto the lattice of their site
    config.coregister = False  # move image, label and later dates by whole metres onto their references
    config.clear = (4, 5, 6, 7)  # SCL; 7 (unclassified) is mostly bright roofs over cities
    config.cloud_buffer = 0.0  # metres around cloud and shadow: around every other code but 0

    config.label = ConfigDict()
    config.label.name = "impervious"
    config.label.rules = ""  # what of the vectors is impervious: a YAML file, or "osm", the rules for OpenStreetMap
    config.label.completeness = ConfigDict()
    config.label.completeness.codes = ()  # of the raster source.built_up that mean built-up; empty: all but 0
    config.label.completeness.cell = 100  # metres; side of the cells that are judged one by one
    config.label.completeness.least = 0.5  # share of a cell's built-up ground that the vectors must show
    config.label.change = ConfigDict()
    config.label.change.block = 0  # metres (240 was measured); label 255 where image and input differ; 0: off
    config.label.change.least = 0.45  # agreement of a block's edges and values, up to 2, below which it changed
    config.label.classes = ((0, 0), (1, 1), (255, 255))  # code in the raster -> 0, 1 or 255 (ignore)

    config.simulate = ConfigDict()
    config.simulate.enabled = False
    config.simulate.mtf = ()  # per band; empty: as published
    config.simulate.snr = ()
    config.simulate.dates = 1
    # Spread of the shift of later dates, 10 m pixels [ours]; Sentinel-2's dates agree to some 0.3 pixels.
    config.simulate.shift = 0.2
    config.simulate.kernel = "gaussian"  # or "box": another blur of the same MTF at Nyquist, to test with
    config.simulate.misregistration = (0.0, 0.0)  # of all dates, metres down and right

    config.patch = 32  # side of a patch in 10 m pixels
    config.stride = 16  # between training patches
    config.min_valid = 0.5  # labelled share a patch needs

    config.split = ConfigDict()
    # "site": every site whole; "block": by spatial blocks over all sites; "mixed": the table's sites whole, the others
    # by block. A column `split` of sites.csv counts always.
    config.split.by = "site"
    config.split.table = ConfigDict({"train": (), "validation": (), "test": ()})
    config.split.shares = ConfigDict({"train": 0.7, "validation": 0.1, "test": 0.2})
    config.split.tolerance = 0.05  # the most by which a share of the divided ground may differ, after the gap
    config.split.folds = 0  # equal parts of the blocks, of which one is for the test; 0: test ground by its share
    config.split.fold = 0  # the part for the test, from 0
    config.split.block = 128  # 10 m pixels
    config.split.gap = 64  # 10 m pixels between two splits: at least the halo
    config.split.halo = 16  # 10 m pixels that a map reads beyond its tile, at least; see WORKDIR/halo_*.json
    config.split.seed = 0
    return config


SPECKLE = {"speckle": "none", "speckle_window": 7, "looks": 4.4}


def sentinel2() -> ConfigDict:
    """The modalities of the embedded landscape and of the paper's kind of data, by name.

    Further fields of a modality: `dates`, acquisitions per site of another sensor in an archive (1); `stored`, what
    its raw files hold if not its values ("power": linear power, for dB; "elevation": metres, for slope and aspect);
    `scale` and `offset` of raw integers that state none; of backscatter `speckle`, "none" or "lee", its window in
    pixels, and the looks of the product (4.4 of Sentinel-1's IW GRD at 10 m).
    """
    return ConfigDict(
        {
            "s2": {"bands": ("B02", "B03", "B04", "B08"), "spacing": 10.0, "units": "reflectance"},
            "s2_20m": {"bands": ("B11", "B12"), "spacing": 20.0, "units": "reflectance"},
            "s2_60m": {"bands": ("B01", "B09"), "spacing": 60.0, "units": "reflectance"},  # of L1C "B10" too
            "s1": {
                "bands": ("VV", "VH"), "spacing": 10.0, "units": "dB", "stored": "values", "dates": placeholder(int),
                **SPECKLE,
            },
            "dem": {"bands": ("elevation",), "spacing": 10.0, "units": "m"},
        }
    )  # fmt: skip


def embedding(count: int, prefix: str = "A") -> ConfigDict:
    """The modality of an embedding layer at 10 m, such as AlphaEarth's A00 to A63 (see docs/your-own-data.md)."""
    bands = tuple(f"{prefix}{i:02d}" for i in range(count))
    return ConfigDict({"bands": bands, "spacing": 10.0, "units": "index", "scale": 1.0, "offset": 0.0})


def terrain() -> ConfigDict:
    """The modality of slope and aspect, made from a raster of elevation in metres."""
    bands = ("slope", "northness", "eastness")
    return ConfigDict({"bands": bands, "spacing": 10.0, "units": "index", "stored": "elevation"})


SENTINEL2_FILES = {"s2": ("s2.tif",), "s2_20m": ("s2_20m.tif",), "s1": ("s1.tif",), "dem": ("dem.tif",)}
