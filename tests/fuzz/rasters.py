"""Scenes: every accepted one reads as the truth says, and maps as the truth maps."""

import pathlib
import random
from collections.abc import Sequence

import numpy as np
import rasterio
from fuzz import disguises, faults, files, scene_drafts, seeds  # noqa: F401  (the first two register what they do)
from fuzz.engine import Attempt, Kind, Step, Wrong
from fuzz.scene_drafts import Draft

from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import OpenedScene

_VRT = """<VRTDataset rasterXSize="{w}" rasterYSize="{h}"><SRS>{crs}</SRS>
<GeoTransform>{left}, 10, 0, {top}, 0, -10</GeoTransform>
<Metadata><MDI key="RADIO_ADD_OFFSET">-1000</MDI></Metadata>{bands}</VRTDataset>"""
_BAND = """<VRTRasterBand dataType="{dtype}" band="{n}"><Description>{name}</Description><NoDataValue>0</NoDataValue>
<SimpleSource><SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>{n}</SourceBand>
</SimpleSource></VRTRasterBand>"""


def _vrt(path: pathlib.Path, rng: random.Random, name: str) -> tuple[pathlib.Path, str]:
    """A virtual raster over a scene; the second word is what has to come of it."""
    with rasterio.open(path) as raster:
        height, width = raster.shape
        left, top = raster.transform.c, raster.transform.f
    source, relative, must, types = path.name, 1, "accept", ["UInt16"] * 4
    if name == "vrt_mixed":
        types, must = ["UInt16", "Float32", "UInt16", "Int32"], "either"
    elif name == "vrt_remote":
        hosts = ("/vsicurl/http://127.0.0.1:9/a.tif", "http://127.0.0.1:9/a.tif", "/vsizip/x.zip/a.tif", "/dev/zero")
        source, relative, must = rng.choice(hosts), 0, "refuse"
    elif name == "vrt_gone":
        source, must = "nowhere.tif", "refuse"
    elif name == "vrt_circle":
        source, must = "scene.vrt", "refuse"
    elif name == "vrt_vast":
        height, width, must = 2_000_000, 2_000_000, "either"  # absent but for the corner
    bands = "".join(
        _BAND.format(n=n, name=band, dtype=kind, source=source, relative=relative)
        for n, (band, kind) in enumerate(zip(seeds.BANDS, types, strict=True), start=1)
    )
    # GDAL decides by the content, whatever the name says.
    target = path.with_name("scene.vrt" if name != "vrt_as_tif" else "virtual.tif")
    target.write_text(_VRT.format(w=width, h=height, crs="EPSG:32650", left=left, top=top, bands=bands))
    return target, must


VIRTUAL = ("vrt", "vrt_mixed", "vrt_remote", "vrt_gone", "vrt_circle", "vrt_vast", "vrt_as_tif")
MUTATIONS = (*scene_drafts.MUTATIONS, *files.BYTES, *files.PLACE, *VIRTUAL, "odd_name", "as_text")


def attempt(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    """A mutated scene, opened, read and mapped."""
    d = scene_drafts.draft()
    written = [s for s in steps if s.mutation not in scene_drafts.MUTATIONS]
    for step in steps:
        if step.mutation in scene_drafts.MUTATIONS:
            scene_drafts.MUTATIONS[step.mutation](random.Random(step.seed), d)
    path = folder / "scene.tif"
    if any(s.mutation == "odd_name" for s in written):
        path = folder / random.Random(written[0].seed).choice(("a b & c.tif", "Ürümqi 武汉.TIFF", "-x=1;%20.tif"))
    scene_drafts.write(d, path)
    must, truth, given = list(d.must), (d.truth, d.valid), path
    for step in written:
        rng = random.Random(step.seed)
        if step.mutation in VIRTUAL:
            given, wanted = _vrt(given, rng, step.mutation)
            must.append(wanted)
        elif step.mutation == "as_text":
            given = str(given)
        elif step.mutation in files.BYTES or step.mutation in files.PLACE:
            {**files.BYTES, **files.PLACE}[step.mutation](rng, pathlib.Path(given))
            must.append("accept" if step.mutation == "symlink" else "either")
            if step.mutation in files.BYTES:
                truth = _damaged(pathlib.Path(given), d)
    damaged = {s.mutation for s in written} & set(files.BYTES)
    if truth is None:
        must.append("refuse")
    verdict = "refuse" if must.count("refuse") and (len(must) == 1 or truth is None) else "either"
    if must and set(must) <= {"accept"} and len(must) == 1:
        verdict = "accept"
    check_map = not damaged or random.Random(str(steps)).random() < 0.5

    def call() -> tuple[OpenedScene, dict, object]:
        opened = open_scene(given, seeds.contract(), **d.flags)
        shape = opened.scene.shape
        if max(shape) > seeds.SIDE:  # vast, and absent beyond the corner
            shape = truth[1].shape
            return opened, opened.scene.read(Window(0, 0, *shape), Handles())["s2"], None
        read = opened.scene.read(Window(0, 0, *shape), Handles())["s2"]
        return opened, read, seeds.mapped(opened.scene) if check_map else None

    def check(result: tuple[OpenedScene, dict, object]) -> None:
        assert truth is not None
        compare(result, *truth, d)

    return Attempt(
        call, check, (pathlib.Path(given).name, "scene", "MTD_MSIL2A.xml", "--bands", "--radiometry"), verdict
    )


def _damaged(path: pathlib.Path, d: Draft) -> tuple[np.ndarray, np.ndarray] | None:
    """The truth about a damaged file; None where nothing can be read, or only by what the oracle does not know."""
    if (
        set(d.must) - {"accept"}
        or d.flags
        or "RADIO_ADD_OFFSET" not in d.tags
        or d.scales
        or "MTD_MSIL2A.xml" in d.beside
    ):
        d.doubt = np.ones_like(d.valid)  # which pixels were damaged is not known
        return d.truth, d.valid
    try:
        return scene_drafts.read_independently(path)
    except Exception:
        return None


def compare(result: tuple[OpenedScene, dict, object], truth: np.ndarray, valid: np.ndarray, d: Draft) -> None:
    """Raises `Wrong` unless a scene was read and mapped as the truth is."""
    opened, read, tile = result
    if opened.scene.shape != valid.shape and max(opened.scene.shape) <= seeds.SIDE:
        raise Wrong(f"the scene is {opened.scene.shape}, not {valid.shape}")
    sure = np.ones(valid.shape, bool) if d.doubt is None else ~d.doubt
    seen, values = read["valid"][0], read["values"][0]
    if (seen & ~valid & sure).any():
        raise Wrong(f"{int((seen & ~valid & sure).sum())} pixels of absent ground count as ground")
    if (valid & ~seen & sure).any():
        raise Wrong(f"{int((valid & ~seen & sure).sum())} pixels of ground count as absent")
    both = seen & valid & sure
    if both.any():
        worst = float(np.abs(values - truth)[both].max())
        if not worst <= 2e-5:
            raise Wrong(f"values differ by up to {worst:.4g} from the truth")
    if tile is not None:
        known = np.where(sure[..., None], truth, values), np.where(sure, valid, seen)
        ours, theirs = tile, seeds.mapped(seeds.InMemory(*known))
        if not np.array_equal(ours.valid, theirs.valid) or not np.allclose(
            ours.probability, theirs.probability, atol=2e-3
        ):
            raise Wrong(f"the map differs by {np.abs(ours.probability - theirs.probability).max():.4g}")


KINDS = (Kind("raster", 620, MUTATIONS, attempt),)
