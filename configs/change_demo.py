"""`make change-demo`: the embedded landscape in 2017, 2019, 2021 and 2023, one network for all years, and its change.

    jointseg prepare --config=change_demo
    jointseg train --config=change_demo --workdir=runs/change-demo

Each year has its own crops, light, haze, noise, clouds and sensor, and lies a little off. Scores check
the software; they are no evidence about real ground.
"""

from ml_collections import ConfigDict

from jointseg_jax.bounds.number import whole
from jointseg_jax.configs import common, demo

YEARS = (2017, 2019, 2021, 2023)


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: sites=4 (per sub-region), side=600 (metres), seed=0 (of the ground), control=bilinear.

    The control is the network without super-resolution: change needs the map alone, and it trains in less time.
    """
    given = common.parse_arg(arg, stages="4x2.5", control="bilinear", sites="4", side="600", seed="0")
    config = demo.get_config(f"stages={given.stages},control={given.control},sites={given.sites},side={given.side}")
    config.name = config.dataset.name = "change-demo"
    config.steps = config.validate_every = config.checkpoint_every = 60
    config.validate_patches = 32
    d = config.dataset
    d.path = "datasets/change-demo"
    d.source.root = "datasets/change-demo/raw"
    d.source.landscape.years = YEARS
    d.source.landscape.seed = common.whole(given, "seed", whole(0, 2**32 - 1))
    d.source.landscape.shift = 0.7  # an image that lies more than 3 m off its input is not fit for use
    return config
