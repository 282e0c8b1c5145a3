"""Maps small areas, for tests of products."""

import stored_halo
import toy

from jointseg_jax.jobs.executors import Serial
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.storage.files import sha256

SETTINGS = Settings(grid=200, tile=12)
LEFT, TOP = toy.LEFT, toy.TOP


def ignore(_):
    """Takes a line of a report, and drops it."""


def fix_halo(network, scenes):
    """Stores a halo beside the checkpoint: the one measured there may differ by a candidate between processors."""
    stored_halo.store(network, open_scene(scenes / "late_20210611", network.meta.contract).scene)


def make_product(network, scenes, area, folder, executor=None, settings=SETTINGS, say=ignore):
    """Plans and maps an area; the plan."""
    plan = plan_area(network, scenes, area, folder, settings, say=say)
    map_area(network, plan, folder, executor or Serial(), say=say)
    return plan


def tile_checksums(folder):
    """The rasters of all tiles of a product, by path, as checksums."""
    return {str(p.relative_to(folder)): sha256(p) for p in sorted((folder / "tiles").rglob("*.tif"))}
