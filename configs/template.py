"""A template for your own ground: Sentinel-2 products, OpenStreetMap and orthophotos. Copy it and change what differs.

    jointseg sites --area=area.gpkg --sites=60 --side=1000 --output=sites
    jointseg prepare --config=template:root=ARCHIVE \
        --config.dataset.source.sites=sites/sites.gpkg
    jointseg train --config=template --workdir=runs/mine
    jointseg evaluate --workdir=runs/mine
    jointseg predict --workdir=runs/mine --input=ARCHIVE/s2/S2A_....SAFE --output=maps/mine

    ARCHIVE/s2/*.SAFE, *.zip   products as they were downloaded, L1C or L2A, neither unpacked nor stacked
            ortho/*.tif        red, green, blue, finer than 2 m, any CRS; the date in the name (site7_2021-05-10.tif)
            osm.gpkg           or region.osm.pbf: the vectors that labels are made of
            s1/*.tif           VV and VH in dB
            dem/*.tif          elevation in metres; without radar or elevation give `jointseg prepare` also
                               --config.dataset.inputs="('s2','s2_20m')", or what you have

`make archive-demo` walks these commands on a made-up archive of this layout. docs/your-own-data.md explains the rest,
configs/common.py holds all other fields and their defaults.
"""

from ml_collections import ConfigDict

from jointseg_jax.configs import common
from jointseg_jax.errors import InputError

NETWORKS = ("small", "large")


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: root=ARCHIVE, network=small (or large), stages=4x2.5, control=joint.

    `control` is one of `common.CONTROLS`.
    """
    given = common.parse_arg(arg, root="", network="small", stages="4x2.5", control="joint")
    if given.network not in NETWORKS:
        raise InputError(f"network={given.network} is unknown: use one of {', '.join(NETWORKS)}")
    config = common.experiment("template")
    config.dataset = common.dataset("template")
    d = config.dataset

    # ---- The dataset: where it is written, and what its users must know.
    d.path = "datasets/template"  # new, empty, or written by jointseg prepare before
    d.licence = "labels: ODbL 1.0 (OpenStreetMap contributors); images: see their owner"
    d.provenance = "Copernicus Sentinel-2, OpenStreetMap, orthophotos"
    d.composite = "single acquisition"

    # ---- Sources. All patterns begin in root; ** is any folder.
    d.source.kind = "archive"  # the files of each site are chosen among many; "table" if you lay them out by site
    d.source.root = given.root or None  # also --config.dataset.source.root=ARCHIVE
    d.source.missing = "Give the archive: --config=configs/template.py:root=ARCHIVE (see the top of that file)"
    d.source.sites = "sites.gpkg"  # polygons, or centres of squares; in root, or a path
    d.source.side = 1000  # metres, of the squares around centres
    d.source.image = "ortho/*.tif"  # of each site the one that covers most, then the nearest in date
    d.source.vectors = ("osm.gpkg",)  # or rasters of labels: vectors = (), label = "labels/*.tif"
    d.source.days = 30  # that a product may lie before or after the image
    d.source.dates = 1  # products per site, the least cloudy first
    products = ("s2/**/*.SAFE", "s2/**/*.zip")
    d.source.layers = ConfigDict({"s2": products, "s2_20m": products, "s1": ("s1/*.tif",), "dem": ("dem/*.tif",)})

    # ---- What the network sees. The first one holds `image_bands`; every other may be absent at some sites.
    d.modalities = common.sentinel2()  # also s2_60m, with products as its layer
    d.inputs = ("s2", "s2_20m", "s1", "dem")  # remove what you do not have
    d.image_bands = ("B04", "B03", "B02")  # of the input, in the order of the image's red, green, blue

    # ---- Lattice, units, cloud.
    d.warp = True  # orthophotos of 0.3 m or in another CRS, products of several zones, radar, terrain
    d.match_image = True  # a gain and an offset per band and site bring the image into the input's units
    d.coregister = True  # move image and label by whole metres onto the input
    d.clear = (4, 5, 6, 7)  # classes of the scene classification that count as clear
    d.cloud_buffer = 60.0  # metres around cloud and shadow

    # ---- Labels.
    d.label.name = "impervious"
    d.label.rules = "osm"  # what of the vectors is impervious; or the path of a YAML file of your own

    # ---- Patches and splits, in 10 m pixels. Changing them does not write rasters again.
    d.patch = 32  # side; no larger than the smallest site
    d.stride = 16  # between training patches
    d.min_valid = 0.5  # labelled share of a patch
    d.split.by = "block"  # spatial blocks over all sites; small sites stay whole
    d.split.block = 256
    d.split.gap = 32  # between two splits, at least split.halo
    d.split.shares = ConfigDict({"train": 0.7, "validation": 0.1, "test": 0.2})
    d.split.tolerance = 0.05  # by which a share may be missed; raise it for few sites

    # ---- Training.
    config.steps = 20_000
    config.validate_every = config.checkpoint_every = 1_000
    config.data.batch = 16
    config.optimizer.learning_rate = 2e-3 if given.network == "small" else 2e-4
    config.loss.shift = 2.0  # metres of misregistration that the image's loss tolerates
    if given.network == "small":  # the one of configs/scenes.py: learns on a CPU too
        config.model = common.model(given.stages, blocks=(4, 2), features=32, growth=16, tail=8, finest_trunk=10.0)
        config.model.widths = (8, 32, 64)
    else:  # the default of configs/yreb.py: for accelerators
        config.model = common.model(given.stages, blocks=(12, 8), features=64, growth=32, tail=16, finest_trunk=10.0)
        config.model.widths = (16, 96, 192)
    common.apply_control(config, given.control)
    return config
