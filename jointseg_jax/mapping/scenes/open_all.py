"""Opens the scenes of --input under the network's contract, for the catalogue.

Opening decides how a scene's values are interpreted. The planning process does this once, so every worker reads the
same values.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import zone_of_epsg
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene, epsg_of
from jointseg_jax.mapping.scenes.find import SceneFiles
from jointseg_jax.rasters.cloud_choice import DEFAULT, CloudChoice
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract
from jointseg_jax.rasters.lattice import crs_name
from jointseg_jax.rasters.metric import warp_advice
from jointseg_jax.rasters.open_scene import open_files
from jointseg_jax.rasters.scene import OpenedScene
from jointseg_jax.rasters.stamps import contents_of, stamps_of

_TOLERANCE = 0.01  # metres by which a scene's corner may miss the zone's lattice


@dataclasses.dataclass(frozen=True)
class Refused:
    """A scene that cannot be used, and the reason in one sentence."""

    id: str
    reason: str


def open_all(
    found: Sequence[SceneFiles],
    contract: Contract,
    *,
    mode: str = "contract",
    bands: tuple[int, ...] = (),
    clouds: CloudChoice = DEFAULT,
    known: Mapping[str, CatalogueScene] | None = None,
    on_scene: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[CatalogueScene], list[Refused]]:
    """Opens scenes under a contract.

    Args:
        found: the scenes to open.
        contract: of the network's training.
        mode: see `rasters.open_scene`.
        bands: see `rasters.open_scene`.
        clouds: see `rasters.open_scene`.
        known: entries of an earlier run with the same contract, mode, bands and clouds; reused if no file has changed.
        on_scene: called with the number of opened scenes and of all scenes.

    Returns:
        The usable scenes in the given order, and the refused ones.
    """
    entries, refused = [], []
    for number, item in enumerate(found, start=1):
        try:
            entries.append(_open(item, contract, mode, bands, clouds, known or {}))
        except InputError as error:
            refused.append(Refused(item.id, str(error)))
        on_scene(number, len(found))
    return entries, refused


def _open(
    item: SceneFiles,
    contract: Contract,
    mode: str,
    bands: tuple[int, ...],
    clouds: CloudChoice,
    known: Mapping[str, CatalogueScene],
) -> CatalogueScene:
    files = {name: [path.absolute() for path in paths] for name, paths in item.files().items()}
    old = known.get(item.id)
    stamps = stamps_of(files, old.scene.masks if old is not None else ())
    if old is not None and old.contents and old.stamps == stamps and (old.date, old.cloud) == (item.date, item.cloud):
        return old
    opened = (
        item.opened() if item.opened else open_files(item.id, files, contract, mode=mode, bands=bands, clouds=clouds)
    )
    _check_lattice(opened, str(files[contract.primary.name][0]))
    stamps = stamps_of(files, opened.scene.masks)
    contents = contents_of(stamps)
    return CatalogueScene(
        item.id, opened.scene, opened.decisions, opened.valid, item.date, item.cloud, stamps, contents
    )


def _check_lattice(opened: OpenedScene, where: str) -> None:
    lattice = opened.scene.lattice
    if zone_of_epsg(epsg_of(lattice)) is None:
        raise InputError(
            f"{where} is in {crs_name(lattice)}, but the map of an area needs scenes in a UTM zone of WGS 84: "
            f"{warp_advice(lattice, where, COARSE_SPACING)}, or map it alone, without --aoi"
        )
    off = [v - COARSE_SPACING * round(v / COARSE_SPACING) for v in (lattice.affine.c, lattice.affine.f)]
    if max(map(abs, off)) > _TOLERANCE:
        raise InputError(
            f"{where} is {off[0]:+.2f} m and {off[1]:+.2f} m off the 10 m lattice of its UTM zone, which all scenes of "
            f"an area must share: {warp_advice(lattice, where, COARSE_SPACING)}, or map it alone, without --aoi"
        )
