"""A work directory with two checkpoints, and a product of two tiles that its network mapped: made once."""

import contextlib
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import shapely
import toy
from fuzz import scene_drafts, seeds

from jointseg_jax.geo.utm_zones import to_degrees, zone_of_epsg
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.state import TrainState
from jointseg_jax.training.trained import Trained, load_trained

STEPS = (1, 2)


def network_config():
    """Of the network of `seeds`."""
    config = toy.network("10", control="bilinear")
    config.lattices, config.widths, config.dilations = ("1", "10"), (2, 4), (1,)
    return config


@functools.cache
def workdir() -> pathlib.Path:
    """As training leaves it, with a halo that was measured."""
    folder = seeds.room("runs") / "run"
    trained = seeds.trained()
    params = jax.tree.map(jnp.asarray, trained.params)
    # Through JSON, as the config of a run comes to its checkpoint.
    plain = {"name": "fuzz", "model": json.loads(network_config().to_json_best_effort()), "loss": {"sr": 1.0}}
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        for step in STEPS:
            moved = jax.tree.map(lambda x, by=step: x * (1 + 0.01 * (by - 2)), params)
            zero = jnp.zeros((), jnp.int32)
            state = TrainState(jnp.int32(step), moved, moved, {"generator": {}}, {}, zero, zero)
            fitted = Calibration(2.0, 0.45, step, {"f1": 0.5 + 0.1 * step})
            checkpoints.save(state, Meta(plain, seeds.contract(), fitted, {"name": "toy", "index": "0"}))
            checkpoints.wait()
    return folder


@functools.cache
def loaded() -> Trained:
    """The network of the work directory."""
    return load_trained(workdir())


@functools.cache
def product() -> pathlib.Path:
    """Two tiles of 160 x 160 m with their plan, ledger and records."""
    root = seeds.room("maps")
    scenes = root / "scenes"
    scenes.mkdir()
    for number in (0, 1):
        d = scene_drafts.draft()
        d.transform = d.transform.translation(500000 + 160 * number, 3400020) * d.transform.scale(10, -10)
        d.tags["datetime"] = "2021-06-01"
        scene_drafts.write(d, scenes / f"scene{number}_2021-06-01.tif")
    zone = zone_of_epsg(32650)
    assert zone is not None
    area = to_degrees(shapely.box(500000, 3399860, 500320, 3400020), zone)
    plan = plan_area(loaded(), scenes, area, root / "product", Settings(grid=160, tile=16), say=toy.quiet)
    map_area(loaded(), plan, root / "product", Serial(), say=toy.quiet)
    return root / "product"


def same_params(a: Trained, b: Trained) -> bool:
    """Whether two networks have the same weights and records."""
    ours, theirs = jax.tree.leaves(a.params), jax.tree.leaves(b.params)
    equal = len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))
    return equal and a.meta == b.meta
