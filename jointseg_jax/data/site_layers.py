"""The 10 m side of a site: raw input rasters brought to one radiometry, or simulated from the image."""

import pathlib
import zlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.recipe import Recipe, strips
from jointseg_jax.data.sources import SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.rasters import radiometry
from jointseg_jax.rasters.aligned import Aligned, open_aligned
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, Modality
from jointseg_jax.rasters.lattice import Window, crs_text, make_lattice, refine
from jointseg_jax.rasters.reader import lattice_of
from jointseg_jax.rasters.writer import Layout, write_raster


def write_layers(
    source: SiteSource, recipe: Recipe, lattice: GeoBox, folder: pathlib.Path
) -> tuple[dict[str, tuple[str, ...]], np.ndarray, list[str]]:
    """Writes every modality of a site.

    Returns:
        File names by modality, where any date of the first modality is valid (bool on the 10 m lattice), and notes on
        what was decided per file.
    """
    clear = _clear_sky(source, recipe, lattice)
    names: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    primary = recipe.modalities[0]
    seen = np.zeros(lattice.shape, bool)
    for modality in recipe.modalities:
        if modality is primary and recipe.simulate is not None:
            found = [(*_simulate(source, recipe, modality, lattice), "simulated from the 1 m image")]
        else:
            found = [_read_layer(path, modality, lattice, recipe) for path in source.layers.get(modality.name, ())]
        files = []
        for date, (stored, valid, note) in enumerate(found):
            if modality.units == "reflectance" and clear is not None:
                valid = valid & _to_spacing(clear, modality.spacing)
            files.append(f"{modality.name}.tif" if len(found) == 1 else f"{modality.name}_{date}.tif")
            _write_layer(folder / files[-1], stored, valid, modality, lattice)
            notes.append(f"{files[-1]}: {note}")
            if modality is primary:
                seen |= valid
        names[modality.name] = tuple(files)
    return names, seen, notes


def _to_spacing(mask: np.ndarray, spacing: float) -> np.ndarray:
    """A 10 m mask on a coarser lattice: true where all of a pixel is."""
    n = round(spacing / COARSE_SPACING)
    if n == 1:
        return mask
    height, width = mask.shape
    return np.asarray(mask.reshape(height // n, n, width // n, n).all((1, 3)))


def _lattice_at(lattice: GeoBox, spacing: float) -> GeoBox:
    height, width = lattice.shape
    n = round(spacing / COARSE_SPACING)
    return make_lattice(crs_text(lattice), lattice.affine.c, lattice.affine.f, spacing, height // n, width // n)


def _clear_sky(source: SiteSource, recipe: Recipe, lattice: GeoBox) -> np.ndarray | None:
    """Where the scene classification says clear, bool on the 10 m lattice; None without one."""
    if source.cloud is None:
        return None
    spacing = 20.0 if abs(lattice_of(source.cloud).affine.a) > 15 else COARSE_SPACING
    at = _lattice_at(lattice, spacing)
    with open_aligned(source.cloud, at, warp=recipe.warp, categorical=True) as raster:
        classes, _ = raster.read(Window(0, 0, *at.shape))
    clear = np.isin(classes[..., 0], recipe.clear)
    n = round(spacing / COARSE_SPACING)
    return np.repeat(np.repeat(clear, n, 0), n, 1)


def _read_layer(
    path: pathlib.Path, modality: Modality, lattice: GeoBox, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray, str]:
    """One raw input raster as it will be stored: numbers `[h, w, bands]`, valid `[h, w]`, and what was decided."""
    at = _lattice_at(lattice, modality.spacing)
    with open_aligned(path, at, warp=recipe.warp) as raster:
        indexes = _band_indexes(raster, modality, path)
        stored, inside = raster.read(Window(0, 0, *at.shape))
        tags = raster.tags
    stored = stored[..., indexes]
    if not inside.any():
        raise InputError(f"{path} has no data on site's ground: check its CRS and extent, or leave the site out")
    if modality.units != "reflectance":
        valid = inside & np.isfinite(stored).all(-1)
        return stored, valid, "as given"
    if not np.issubdtype(stored.dtype, np.integer):
        raise InputError(
            f"{path} holds {stored.dtype}, but reflectance is read as digital numbers (uint16): give the original "
            "product"
        )
    valid = inside & (stored > 0).all(-1)
    xml = next(iter(sorted(path.parent.glob("MTD_MSI*.xml"))), None)
    decision = radiometry.decide_offset(
        tags, radiometry.darkest(stored), str(path), None if xml is None else radiometry.read_product_xml(xml)
    )
    # One convention in all datasets, whatever the sites came with: numbers carry +1000, which loses no negative
    # reflectance.
    carried = stored.astype(np.int32) + round(radiometry.ADDED + decision.offset)
    return np.clip(carried, 1, 65535), valid, f"offset {decision.offset:g} ({decision.evidence})"


def _band_indexes(raster: Aligned, modality: Modality, path: pathlib.Path) -> list[int]:
    names = [d or "" for d in raster.dataset.descriptions]
    if all(b in names for b in modality.bands):
        return [names.index(b) for b in modality.bands]
    if any(names) and any(b in names for b in modality.bands):
        missing = [b for b in modality.bands if b not in names]
        raise InputError(
            f"{path} lacks band {missing[0]} (it has {names}): add it, or take it out of modality {modality.name!r}"
        )
    if raster.dataset.count != len(modality.bands):
        raise InputError(
            f"{path} has {raster.dataset.count} bands, modality {modality.name!r} has {len(modality.bands)} "
            f"{modality.bands}"
        )
    return list(range(len(modality.bands)))


def _write_layer(
    path: pathlib.Path, stored: np.ndarray, valid: np.ndarray, modality: Modality, lattice: GeoBox
) -> None:
    at = _lattice_at(lattice, modality.spacing)
    floating = np.issubdtype(np.dtype(modality.dtype), np.floating)
    fill = np.nan if floating or modality.nodata is None else modality.nodata
    values = np.where(valid[..., None], stored, fill).astype(modality.dtype)
    layout = Layout(
        at,
        modality.dtype,
        modality.bands,
        fill,
        {"UNITS": modality.units},
        scale=modality.scale,
        offset=modality.scale * modality.offset,
    )
    write_raster(path, values, layout)


def _simulate(source: SiteSource, recipe: Recipe, modality: Modality, lattice: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """The first modality as `recipe.simulate` would have seen the image."""
    sensor = recipe.simulate
    assert sensor is not None
    height, width = lattice.shape
    stored = np.zeros((height, width, len(modality.bands)), np.float32)
    valid = np.zeros((height, width), bool)
    margin = -(-sensor.margin // FINE_FACTOR)
    with open_aligned(source.image, refine(lattice, FINE_FACTOR), warp=recipe.warp) as raster:
        for window in strips(height, width):
            values, inside = raster.read(window.pad(margin).scale(FINE_FACTOR))
            rng = np.random.default_rng([recipe.seed, zlib.crc32(source.name.encode()), window.row])
            image = modality.decode(values[..., : len(modality.bands)])
            seen, seen_valid = sensor.observe(image, inside, rng=rng)
            core = np.s_[margin : margin + window.height, margin : margin + window.width]
            stored[window.slices()] = np.round(seen[core] / modality.scale - modality.offset)
            valid[window.slices()] = seen_valid[core]
    top = np.iinfo(modality.dtype).max
    return np.clip(stored, 1, top), valid  # nodata is 0
