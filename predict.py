"""Maps a scene: python predict.py --workdir=runs/demo --input=SCENE_OR_SITE --output=DIR."""

import pathlib

from absl import flags

from jointseg_jax import door
from jointseg_jax.errors import InputError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the training run.")
_INPUT = flags.DEFINE_string(
    "input", None, "A raster, or a folder with one raster per modality (a dataset's site is one)."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the map.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best (by validation F1), latest, or a step.")
_WEIGHTS = flags.DEFINE_string("weights", "ema", "ema or raw.")
_RADIOMETRY = flags.DEFINE_string(
    "radiometry", "contract", "contract, display or harmonise: how to take a scene in other units."
)
_KEEP_GRID = flags.DEFINE_boolean(
    "keep_grid", False, "Map on the scene's own grid refined ten times, whatever its CRS and pixel size."
)
_BANDS = flags.DEFINE_list(
    "bands", [], "One-based numbers of the network's bands in the file, where their names do not tell."
)
_TILE = flags.DEFINE_integer("tile", 64, "Core of a tile in input pixels; changes speed and memory, not the map.")
flags.DEFINE_alias("keep-grid", "keep_grid")
flags.mark_flags_as_required(["workdir", "input", "output"])


def main() -> None:
    """Runs the mapping."""
    from jointseg_jax.mapping.scene_map import map_scene
    from jointseg_jax.training import parallel
    from jointseg_jax.training.trained import load_trained

    if not all(b.strip().isdigit() for b in _BANDS.value):
        raise InputError(f"--bands={','.join(_BANDS.value)} must be band numbers such as 1,2,3")
    parallel.use_compilation_cache()
    trained = load_trained(str(_WORKDIR.value), checkpoint=_CHECKPOINT.value, weights=_WEIGHTS.value)
    map_scene(
        trained,
        pathlib.Path(str(_INPUT.value)),
        pathlib.Path(str(_OUTPUT.value)),
        mode=_RADIOMETRY.value,
        keep_grid=_KEEP_GRID.value,
        bands=tuple(int(b) for b in _BANDS.value),
        tile=_TILE.value,
    )


if __name__ == "__main__":
    door.run(main)
