"""The state of a scene's files, to see whether they changed."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence

from jointseg_jax.rasters import zipped
from jointseg_jax.rasters.radiometry.product_metadata import metadata_files
from jointseg_jax.rasters.raster_files import classification_of, files_behind


def stamps_of(
    files: Mapping[str, Sequence[pathlib.Path]], masks: Iterable[pathlib.Path] = ()
) -> tuple[tuple[str, int, int], ...]:
    """Path, bytes and modification time (ns) of every file of a scene, the metadata of its product included.

    Args:
        files: modality -> its rasters.
        masks: rasters of masks that the user named.
    """
    rasters = [path for paths in files.values() for path in paths]
    behind = {file for raster in rasters for file in files_behind(raster)}
    behind |= {xml for file in {f.parent: f for f in behind}.values() for xml in metadata_files(file)}
    behind |= {scl for raster in rasters if (scl := classification_of(raster)) is not None}
    behind = {zipped.on_disk(file) for file in {*behind, *masks}}
    return tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(behind) if f.exists())
