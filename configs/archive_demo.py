"""`make archive-demo`: configs/template.py, walked on a small archive of made-up ground.

    jointseg archive --output=datasets/archive-demo/raw
    jointseg sites --area=datasets/archive-demo/raw/area.gpkg --region=name --sites=4 --side=360 \
        --distance=510 --output=datasets/archive-demo/sample
    jointseg prepare --config=archive_demo
    jointseg train --config=archive_demo --workdir=runs/archive-demo

Scores on it check the software; they are no evidence about real ground.
"""

from ml_collections import ConfigDict

from jointseg_jax.configs import common, template


def get_config(arg: str | None = None) -> ConfigDict:
    """Config argument: folder=datasets/archive-demo, which holds `raw` and `sample`; stages=4x2.5, control=joint."""
    given = common.parse_arg(arg, folder="datasets/archive-demo", stages="4x2.5", control="joint")
    config = template.get_config(f"root={given.folder}/raw,stages={given.stages},control={given.control}")
    config.name = config.dataset.name = "archive-demo"
    config.steps = 40
    config.log_every = 10
    config.validate_every = config.checkpoint_every = 20
    config.data.batch = 4
    config.mesh.data = 1
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup = 5

    d = config.dataset
    d.path = f"{given.folder}/dataset"
    d.source.sites = f"{given.folder}/sample/sites.gpkg"
    d.licence = "CC0-1.0"
    d.provenance = "embedded procedural landscape, simulated Sentinel-2"
    d.composite = "single acquisition, simulated Sentinel-2"
    d.cloud_buffer = 0.0
    d.patch = 24
    d.stride = 6
    d.split.block = 64  # a site stays whole
    d.split.gap = d.split.halo = 8
    d.split.shares = ConfigDict({"train": 0.5, "validation": 0.25, "test": 0.25})
    d.split.tolerance = 0.2  # of four sites

    config.model = common.model(given.stages, blocks=(2, 1), features=24, growth=12, tail=8, finest_trunk=10.0)
    config.model.widths = (8, 32, 48)
    config.model.dilations = (1, 2, 4, 8)
    common.apply_control(config, given.control)
    return config
