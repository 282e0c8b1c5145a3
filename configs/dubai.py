"""Seven real 1 m scenes of Dubai, with simulated 10 m input.

    JOINTSEG_DATA=DIR jointseg prepare --config=dubai
    JOINTSEG_DATA=DIR jointseg train --config=dubai --workdir=runs/dubai
    JOINTSEG_DATA=DIR jointseg train --config=dubai:control=bilinear --workdir=runs/dubai-bilinear

The scenes are those of "Semantic segmentation of aerial imagery" (Humans in the Loop, CC0), laid out as
$JOINTSEG_DATA/dubai/<scene>/image.tif and landcover.tif by `jointseg dubai` (docs/data.md). One
scene is left out for the test (`fold`); fold=none trains on all, as for the shipped network. Checkpoint,
temperature and threshold are chosen on blocks of the six others. A dataset serves one fold:

    jointseg study dubai runs/study     all rows and folds
"""

import os

from ml_collections import ConfigDict

from jointseg_jax.configs import common, scenes
from jointseg_jax.errors import InputError

FOLDS = tuple(f"scene{number}" for number in range(1, 8))
NONE = "none"  # no scene is left out: the network that is shipped


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: fold=scene4 (the scene left out, or none), and all but root of configs/scenes.py."""
    given = common.parse_arg(arg, fold="scene4", stages="4x2.5", control="joint", dates="1", weights="")
    if given.fold not in (*FOLDS, NONE):
        raise InputError(f"fold={given.fold} is unknown; known: {', '.join((*FOLDS, NONE))}")
    data = os.environ.get("JOINTSEG_DATA", "")
    config = scenes.build("dubai", ConfigDict({**given, "root": f"{data}/dubai" if data else ""}))
    d = config.dataset
    d.path = d.path.replace("dubai", f"dubai-{given.fold}")
    d.source.missing = (
        "Unpack the published set (docs/data.md) into FOLDER, run `jointseg dubai FOLDER`, set "
        "JOINTSEG_DATA=FOLDER, then run `jointseg prepare --config=dubai`"
    )
    d.licence = "CC0-1.0"
    d.provenance = "Semantic segmentation of aerial imagery (Humans in the Loop, MBR Space Centre); nominal 1 m"
    d.split.by = "mixed"
    d.split.table.test = () if given.fold == NONE else (given.fold,)
    d.split.shares = ConfigDict({"train": 0.9, "validation": 0.1, "test": 0.0})
    d.split.block = 96
    d.split.gap = d.split.halo = 24
    return config
