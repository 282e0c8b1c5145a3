"""A procedural river basin seen from above: mountains, farmed plain and city, with all that a dataset needs."""

from jointseg_jax.landscape.model import BANDS, REGIONS, YEARS, Feature, LandCover, SyntheticScene
from jointseg_jax.landscape.synthesis import make_scene

__all__ = ["BANDS", "REGIONS", "YEARS", "Feature", "LandCover", "SyntheticScene", "make_scene"]
