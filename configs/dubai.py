"""Seven real 1 m scenes of Dubai, with simulated 10 m input.

    JOINTSEG_DATA=DIR python prepare.py --config=configs/dubai.py
    JOINTSEG_DATA=DIR python train.py --config=configs/dubai.py --workdir=runs/dubai
    JOINTSEG_DATA=DIR python train.py --config=configs/dubai.py:control=bilinear --workdir=runs/dubai-bilinear

The scenes are those of "Semantic segmentation of aerial imagery" (Humans in the Loop, CC0), laid out as
$JOINTSEG_DATA/dubai/<scene>/image.vrt and landcover.tif. Train 1, 3, 5, 6, 7; validation 2; test 4.
"""

import os

from ml_collections import ConfigDict

from configs import common, scenes


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: stages=4x2.5 (or 10, 2x5, ...), control=joint (or another of `common.CONTROLS`)."""
    given = common.parse_arg(arg, stages="4x2.5", control="joint")
    data = os.environ.get("JOINTSEG_DATA", "")
    config = scenes.build("dubai", ConfigDict({**given, "root": f"{data}/dubai" if data else ""}))
    d = config.dataset
    d.source.missing = (
        "Set JOINTSEG_DATA to a folder with dubai/scene1..scene7/image.vrt and landcover.tif, then run "
        "`python prepare.py --config=configs/dubai.py`"
    )
    d.licence = "CC0-1.0"
    d.provenance = "Semantic segmentation of aerial imagery (Humans in the Loop, MBR Space Centre); nominal 1 m"
    d.split.table.train = ("scene1", "scene3", "scene5", "scene6", "scene7")
    d.split.table.validation = ("scene2",)
    d.split.table.test = ("scene4",)
    return config
