"""Writes the input rasters of a site: decoded from raw files to one radiometry, or simulated from the image."""

import dataclasses
import functools
import pathlib
import shutil
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.dataset import Registration
from jointseg_jax.data.prepare.recipe import Recipe, strips
from jointseg_jax.data.prepare.site import registration
from jointseg_jax.data.prepare.site.composite import write_medoid
from jointseg_jax.data.prepare.site_dates import IMAGE
from jointseg_jax.data.prepare.sources import Part, SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.aligned import Aligned, open_aligned
from jointseg_jax.rasters.clouds import CloudFile, coarsened
from jointseg_jax.rasters.contract import COARSE_SPACING, COMPOSITE_TAG, FINE_FACTOR, Modality
from jointseg_jax.rasters.derived import decibel, terrain
from jointseg_jax.rasters.lattice import Window, coarsen, crop, moved, refine
from jointseg_jax.rasters.radiometry.encoding import Stated, interpret, stated
from jointseg_jax.rasters.radiometry.find_bands import bands_note, match_bands
from jointseg_jax.rasters.radiometry.sample import take_sample
from jointseg_jax.rasters.radiometry.unit_checks import check_nature
from jointseg_jax.rasters.reader import has_mask
from jointseg_jax.rasters.speckle import filter_speckle
from jointseg_jax.rasters.warped import Warped
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.sources.dates import spanned
from jointseg_jax.sources.raster_tags import DATE_TAG


@dataclasses.dataclass(frozen=True)
class Layers:
    """The written inputs of a site.

    Attributes:
        names: modality -> file names.
        seen: where any date of the first modality is valid, bool on the 10 m lattice.
        notes: on the decisions per file.
        lies: file name without its ending -> how it lies on the first date, where that could be measured.
        cloudy: see `Site`.
    """

    names: dict[str, tuple[str, ...]]
    seen: np.ndarray
    notes: list[str]
    lies: dict[str, Registration]
    cloudy: dict[str, tuple[float | None, ...]]


@dataclasses.dataclass(frozen=True)
class _Read:
    """A file, or the files of a date, in the modality's units.

    Attributes:
        values: `[h, w, bands]`.
        valid: bool `[h, w]`.
        note: on the decisions.
        clear: where the mask of cloud is clear, bool on the 10 m lattice; None without one.
    """

    values: np.ndarray
    valid: np.ndarray
    note: str
    clear: np.ndarray | None = None


def write_layers(source: SiteSource, recipe: Recipe, lattice: GeoBox, folder: pathlib.Path) -> Layers:
    """Writes every modality of a site, and measures how each file lies on the first date of the first modality.

    Several dates of reflectance become one file if `recipe.composite` says so: the date of the first modality with the
    most valid ground and those of the others that go with it, or the medoid of each modality.
    With `recipe.coregister` an optical file that lies off by more than `registration.MOST_RESIDUAL` is read again from
    the ground where it lies, by whole metres: its pixels are interpolated once.
    """
    made = Layers({}, np.zeros(lattice.shape, bool), [], {}, {})
    first: pathlib.Path | None = None
    best, former = 0, list[pathlib.Path]()
    bands = tuple(recipe.primary.bands.index(band) for band in recipe.image_bands)
    for modality in recipe.modalities:
        simulated = modality is recipe.primary and recipe.simulate is not None
        count = modality.dates if simulated else len(source.layers.get(modality.name, ()))
        files = tuple(f"{modality.name}.tif" if count == 1 else f"{modality.name}_{date}.tif" for date in range(count))
        covered, cloudy = list[np.ndarray](), list[float | None]()
        for date, file in enumerate(files):
            path = folder / file
            read = _write_date(source, recipe, modality, lattice, date, path)
            if first is None:
                first = path
            elif not simulated:
                measure = functools.partial(
                    registration.of_layer, path, modality, first, recipe.primary, bands, lattice
                )
                lies = measure()
                movable = recipe.coregister and modality.units in registration.MOVED
                if lies is not None and movable and lies.residual > registration.MOST_RESIDUAL * modality.spacing:
                    move = registration.move_for(lies)
                    read = _write_date(source, recipe, modality, lattice, date, path, move)
                    lies = registration.after(lies, move, measure())
                if lies is not None:
                    made.lies[path.stem] = lies
            made.notes.append(f"{modality.name}: {read.note}")
            covered.append(read.valid if modality is recipe.primary else read.valid[:0])
            cloudy.append(None if read.clear is None else round(1 - float(read.clear.mean()), 4))
        if any(share is not None for share in cloudy):
            made.cloudy[modality.name] = tuple(cloudy)
        if modality is recipe.primary:
            best = int(np.argmax([valid.sum() for valid in covered]))
            made.seen[:] = covered[best] if recipe.composite == "best" else np.any(covered, axis=0)
        if len(files) > 1 and modality.units == "reflectance" and recipe.composite != "none":
            former += [folder / file for file in files]
            moment = spanned(source.dates.get(modality.name, ()))
            files, note = _joined(recipe, modality, lattice, [folder / file for file in files], best, moment)
            made.notes.append(note)
        if files:
            made.names[modality.name] = files
    for path in former:  # the first date was the reference of all
        path.unlink()
    return made


def _joined(
    recipe: Recipe, modality: Modality, lattice: GeoBox, dates: Sequence[pathlib.Path], best: int, moment: str
) -> tuple[tuple[str, ...], str]:
    """Writes the composite of prepared dates beside them; its file name, and a note.

    `best` is the number of a date, `moment` the interval of all, empty if unknown.
    """
    target = dates[0].with_name(f"{modality.name}.tif")
    what = f"{recipe.composite} of {len(dates)} dates"
    if recipe.composite == "medoid":
        tags = {COMPOSITE_TAG: recipe.composite, **_dated(moment)}
        write_medoid(dates, modality, target, _layout(modality, lattice, tags))
    else:
        number = min(best, len(dates) - 1)
        shutil.copyfile(dates[number], target)
        what += f", number {number}"
    return (target.name,), f"{modality.name}: {what}"


def _write_date(
    source: SiteSource,
    recipe: Recipe,
    modality: Modality,
    lattice: GeoBox,
    date: int,
    path: pathlib.Path,
    move: tuple[int, int] = (0, 0),
) -> _Read:
    """Writes a date of a modality.

    `move` is in metres down and right: ground is read from where it lies, by interpolation.
    """
    if modality is recipe.primary and recipe.simulate is not None:
        read = _simulate(source, recipe, modality, lattice, date)
    else:
        if any(move):
            recipe = dataclasses.replace(recipe, warp=True)
        ground = moved(lattice, (move[0] / COARSE_SPACING, move[1] / COARSE_SPACING))
        read = _mosaic(source.parts(modality.name, date), modality, ground, recipe)
    name = IMAGE if modality is recipe.primary and recipe.simulate is not None else modality.name
    known = source.dates.get(name, ())
    moment = known[0 if name == IMAGE else date] if known else None
    _write_layer(path, read, modality, _layout(modality, lattice, _dated(moment)))
    return read


def _mosaic(parts: Sequence[Part], modality: Modality, lattice: GeoBox, recipe: Recipe) -> _Read:
    """The files of a date, each decoded by its own evidence; a pixel is that of the first one that is valid there."""
    read = _read_part(parts[0], modality, lattice, recipe)
    values, valid, note, clear = read.values, read.valid, f"{parts[0].name}: {read.note}", read.clear
    for part in parts[1:]:
        more = _read_part(part, modality, lattice, recipe)
        filled = more.valid & ~valid
        values = np.where(filled[..., None], more.values, values)
        valid = valid | filled
        clear = more.clear if clear is None else clear if more.clear is None else clear | more.clear
        note = f"{note}; {filled.mean():.1%} filled from {part.name} ({more.note})"
    return _Read(values, valid, note, clear)


def _read_part(part: Part, modality: Modality, lattice: GeoBox, recipe: Recipe) -> _Read:
    """As `_read_layer`, with what its mask of cloud does not show as clear invalid."""
    read = _read_layer(part.path, modality, lattice, recipe)
    if part.mask is None:
        return read
    clear = _clear_sky(part.mask, recipe, lattice)
    valid = read.valid & coarsened(clear, round(modality.spacing / COARSE_SPACING))
    note = f"{read.note}; {1 - clear.mean():.1%} not clear by {remote.bare(part.mask.path).name}"
    return _Read(read.values, valid, note, clear)


def _clear_sky(mask: CloudFile, recipe: Recipe, lattice: GeoBox) -> np.ndarray:
    """Where a mask of cloud is clear, bool on the 10 m lattice."""
    edge = recipe.clear_rule.reach
    wide = crop(lattice, Window(0, 0, *lattice.shape).pad(edge))
    with open_aligned(mask.path, wide, warp=recipe.warp, categorical=True) as raster:
        codes, inside = raster.read(Window(0, 0, *wide.shape), (mask.number(raster.source),))
    clear = recipe.clear_rule.clear(codes[..., 0], inside)
    return clear[edge : edge + lattice.shape[0], edge : edge + lattice.shape[1]]


def _read_layer(path: pathlib.Path, modality: Modality, lattice: GeoBox, recipe: Recipe) -> _Read:
    """Reads a raw raster."""
    what = recipe.stored.get(modality.name, "values")
    speckle = modality.speckle
    raw, around = _raw_modality(modality, what), int(what == "elevation") if speckle is None else speckle.reach
    at = coarsen(lattice, round(modality.spacing / COARSE_SPACING))
    picture, optical = raw.units == "display", raw.units == "reflectance"
    with open_aligned(path, at, warp=recipe.warp, absent=0.0 if optical else None, picture=picture) as raster:
        indexes = _band_indexes(raster, raw, path)
        stored, inside = raster.read(Window(0, 0, *at.shape).pad(around), indexes)
        says = _scaled(stated(raster.source, indexes), *recipe.scales.get(modality.name, (1.0, 0.0)))
        used = bands_note(indexes, raster.source.descriptions, raw)
        # Sampled from the file itself: on the site's lattice it may be warped.
        masked = picture or has_mask(raster.source, indexes)
        sample = take_sample(raster.source, indexes, masked=masked, collar=raster.collar)
        collar, warped = raster.collar, raster.note
    if not inside.any():
        raise InputError(
            f"{path} has no data inside the site: check its CRS and extent, or exclude the site with "
            "dataset.source.only"
        )
    if optical and np.issubdtype(stored.dtype, np.floating):
        raise InputError(
            f"{path} contains {stored.dtype}, but reflectance is read as digital numbers (uint16): give the original "
            "product"
        )
    read_as, note = interpret(raw, says, sample)
    check_nature(read_as.decode(sample.ground(read_as)), read_as, str(path), scale=says.scale)
    values, valid = read_as.decode(stored), inside & read_as.valid(stored)
    if what == "power":
        values, valid = decibel(values, valid)
    elif what == "elevation":
        values, valid = terrain(values[..., 0], valid, modality.spacing, modality.bands)
    if speckle is not None:
        core = np.s_[around:-around, around:-around]
        values, valid = filter_speckle(values, valid, speckle)[core], valid[core]
    made = "" if what == "values" else f"{', '.join(modality.bands)} made from {what}"
    notes = [note, used, warped, made, "" if collar is None else collar.note, str(speckle or "")]
    return _Read(values, valid, "; ".join(filter(None, notes)))


def _raw_modality(modality: Modality, what: str) -> Modality:
    """The raw file of a modality: itself, or what it is made from."""
    if what == "power":
        return dataclasses.replace(modality, units="index", speckle=None)
    if what == "elevation":
        return dataclasses.replace(modality, bands=("elevation",), units="m")
    return modality


def _scaled(file: Stated, scale: float, offset: float) -> Stated:
    """A header with the config's scale and offset, if it has integers without their own."""
    own = (file.scale, file.offset) != (1.0, 0.0) or np.issubdtype(np.dtype(file.dtype), np.floating)
    return file if own else dataclasses.replace(file, scale=scale, offset=offset)


def _band_indexes(raster: Aligned | Warped, modality: Modality, path: pathlib.Path) -> tuple[int, ...]:
    """One-based band numbers, by the same names as in prediction; in file order only if no band has a name."""
    found = match_bands(raster.source, modality)
    if found is None:
        if raster.source.count != len(modality.bands):
            raise InputError(
                f"{path} has {raster.source.count} bands without names, but modality {modality.name!r} has "
                f"{len(modality.bands)}, {modality.bands}: give the file these bands, or correct dataset.modalities"
            )
        return tuple(range(1, len(modality.bands) + 1))
    names = [d or "" for d in raster.source.descriptions]
    for band, matches in zip(modality.bands, found, strict=True):
        if not matches:
            raise InputError(
                f"{path} lacks band {band} (it has {names}): add it, correct the file's band descriptions, or remove "
                f"it from modality {modality.name!r}"
            )
        if len(matches) > 1:
            raise InputError(
                f"{path} has more than one band {band} (it has {names}): correct the file's band descriptions"
            )
    return tuple(matches[0] for matches in found)


def _dated(moment: str | None) -> dict[str, str]:
    """The tag with a raster's date, as `raster_tags.date_and_cloud` reads it; none if it is unknown."""
    return {DATE_TAG: moment} if moment else {}


def _write_layer(path: pathlib.Path, read: _Read, modality: Modality, layout: Layout) -> None:
    """Writes values in the dataset's encoding; reflectance is stored with +1000, so no number is negative."""
    stored = np.where(read.valid[..., None], modality.encode(read.values), _fill(modality)).astype(modality.dtype)
    write_raster(path, stored, layout)


def _fill(modality: Modality) -> float:
    return np.nan if modality.nodata is None else modality.nodata


def _layout(modality: Modality, lattice: GeoBox, tags: Mapping[str, str] | None = None) -> Layout:
    """Of a dataset's rasters of a modality."""
    return Layout(
        coarsen(lattice, round(modality.spacing / COARSE_SPACING)),
        modality.dtype,
        modality.bands,
        _fill(modality),
        {"UNITS": modality.units, **(tags or {})},
        scale=modality.scale,
        offset=modality.scale * modality.offset,
    )


def _simulate(source: SiteSource, recipe: Recipe, modality: Modality, lattice: GeoBox, date: int) -> _Read:
    """Simulates a date of the first modality from the image.

    The first date has the sensor of the recipe, each later one a shift, a gain and noise of its own.
    """
    sensor, note = recipe.simulate, "simulated from the 1 m image"
    assert sensor is not None
    assert source.image is not None
    site = zlib.crc32(source.entry.name.encode())
    own = (date,) if date else ()
    if date:
        state = np.random.SeedSequence([recipe.seed, site], spawn_key=own)
        sensor = recipe.later.draw(sensor, np.random.default_rng(state))
        note += f", sampled {sensor.shift[0]:+.2f} m down and {sensor.shift[1]:+.2f} m right"
    height, width = lattice.shape
    result = np.zeros((height, width, len(modality.bands)), np.float32)
    valid = np.zeros((height, width), bool)
    margin = -(-sensor.margin // FINE_FACTOR)
    with open_aligned(source.image, refine(lattice, FINE_FACTOR), warp=recipe.warp, picture=True) as raster:
        for window in strips(height, width):
            values, inside = raster.read(window.pad(margin).scale(FINE_FACTOR))
            rng = np.random.default_rng(np.random.SeedSequence([recipe.seed, site, window.row], spawn_key=own))
            image = modality.decode(values[..., : len(modality.bands)])
            seen, seen_valid = sensor.observe(image, inside, rng=rng)
            core = np.s_[margin : margin + window.height, margin : margin + window.width]
            result[window.slices()] = seen[core]
            valid[window.slices()] = seen_valid[core]
    return _Read(result, valid, note)
