"""The recipe of a preparation, shared by layers, image and label."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from jointseg_jax.data.prepare.labels.completeness import Completeness
from jointseg_jax.data.prepare.labels.rules import NONE_GIVEN, Rules, load_rules
from jointseg_jax.data.sensor import HIGHEST_MTF, SNR_AT_REFERENCE, Sensor, SensorSpread, published_mtf
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.clouds import ClearRule
from jointseg_jax.rasters.contract import COARSE_SPACING, IGNORE, Contract, Modality, Speckle, common_spacing
from jointseg_jax.rasters.derived import TERRAIN
from jointseg_jax.rasters.lattice import Window

# Encoding of each quantity in datasets: dtype, nodata, scale, offset (value = (stored + offset) * scale).
ENCODINGS: dict[str, tuple[str, float | None, float, float]] = {
    "reflectance": ("uint16", 0.0, 1e-4, -1000.0),
    "display": ("uint8", 0.0, 1 / 255, 0.0),
    "dB": ("float32", None, 1.0, 0.0),
    "m": ("float32", None, 1.0, 0.0),
    "index": ("float32", None, 1.0, 0.0),
}
_STRIP = 64  # coarse rows per read: bounds memory by the site's width


@dataclasses.dataclass(frozen=True)
class ChangeRule:
    """Labels are ignored in blocks of a side in metres (0: nowhere) whose `change.agreement` is below `least`."""

    block: float = 0.0
    least: float = 0.45


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How raw rasters become dataset rasters.

    Attributes:
        modalities: as stored in the dataset; the first holds the image bands.
        image_bands: names of the image's bands in the first modality.
        simulate: the sensor that simulates the first modality from the image; None if it has files.
        later: how the sensor of simulated dates after the first deviates from it.
        classes: code in the label raster -> label value (0, 1, 255).
        rules: how vectors make the label.
        completeness: how it is judged where vectors are missing.
        clear: codes of the masks of cloud that count as clear.
        cloud_buffer: see `ClearRule`, metres.
        match_image: fit the image's units to the input's (per site and band).
        warp: resample rasters that do not lie on the site's lattice, instead of rejecting them.
        stored: modality -> what its raw files hold instead of its values, `power` or `elevation`.
        scales: modality -> scale and offset of raw integers without their own, value = stored * scale + offset.
        seed: of simulated noise.
        coregister: move image and label onto their references, see `registration`.
        composite: what becomes of several dates of reflectance: "none" (all are kept), "best" or "medoid".
        acquired: modality -> dates that its files hold, before they are joined.
        change: where the label is ignored because the land changed between image and input.
    """

    modalities: tuple[Modality, ...]
    image_bands: tuple[str, ...]
    simulate: Sensor | None = None
    later: SensorSpread = dataclasses.field(default_factory=SensorSpread)
    classes: Mapping[int, int] = dataclasses.field(default_factory=lambda: {0: 0, 1: 1, IGNORE: IGNORE})
    rules: Rules = NONE_GIVEN
    completeness: Completeness = dataclasses.field(default_factory=Completeness)
    clear: tuple[int, ...] = (4, 5, 6, 7)
    cloud_buffer: float = 0.0
    match_image: bool = True
    warp: bool = False
    stored: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scales: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    seed: int = 0
    coregister: bool = False
    composite: str = "none"
    acquired: Mapping[str, int] = dataclasses.field(default_factory=dict)
    change: ChangeRule = dataclasses.field(default_factory=ChangeRule)

    @property
    def primary(self) -> Modality:
        """The modality that holds the image bands; every site has it."""
        return self.modalities[0]

    @property
    def image_is_encoded(self) -> bool:
        """True if image and first modality share an encoding: by simulation, or because `match_image` is False."""
        return self.simulate is not None or not self.match_image

    @property
    def clear_rule(self) -> ClearRule:
        """What is clear in a mask of cloud."""
        return ClearRule(self.clear, self.cloud_buffer)

    @property
    def coarsest(self) -> float:
        """The spacing, metres, that divides the origin and size of every site."""
        return common_spacing(self.modalities)


def make_recipe(config: Any) -> Recipe:
    """Makes the recipe of a dataset config.

    Args:
        config: `config.dataset`.

    Raises:
        InputError: it contradicts itself, or names something that does not exist.
    """
    composite = config.source.get("composite", "none")
    acquired = tuple(_make_modality(config, name) for name in config.inputs)
    if composite != "none" and config.simulate.enabled:
        raise InputError(
            f"dataset.source.composite={composite!r} joins dates of files, but the dates of this dataset are "
            "simulated: set it to 'none'"
        )
    modalities = tuple(
        dataclasses.replace(m, dates=1) if composite != "none" and m.units == "reflectance" else m for m in acquired
    )
    primary, image_bands = modalities[0], tuple(config.image_bands)
    if primary.spacing != COARSE_SPACING:
        raise InputError(
            f"the first modality of dataset.inputs, {primary.name!r}, has a spacing of {primary.spacing:g} m: put the "
            f"one with {COARSE_SPACING:g} m first"
        )
    try:
        Contract(modalities, image_bands)
    except ValueError as error:
        raise InputError(f"dataset.image_bands={image_bands}: {error}") from error
    names = cloud_names(config)
    for modality in acquired:
        if names and modality.units == "reflectance" and modality.dates > len(names) and not config.simulate.enabled:
            raise InputError(
                f"dataset.source.cloud names {len(names)} mask{'s' * (len(names) > 1)} for {modality.dates} dates of "
                f"modality {modality.name!r}: name one per date, because each has clouds of its own"
            )
    classes = {int(code): int(value) for code, value in config.label.classes}
    return Recipe(
        modalities=modalities,
        image_bands=image_bands,
        simulate=_make_sensor(config, primary) if config.simulate.enabled else None,
        later=SensorSpread(mtf=0.0, shift=config.simulate.get("shift", 0.2), snr=1.0),
        classes=classes,
        completeness=_make_completeness(config.label.get("completeness")),
        rules=load_rules(config.label.get("rules", "")) if config.source.vectors else NONE_GIVEN,
        clear=tuple(config.clear),
        cloud_buffer=float(config.get("cloud_buffer", 0.0)),
        match_image=config.match_image,
        warp=config.warp,
        stored={m.name: _stored(config, m) for m in modalities},
        scales={
            name: (float(given.get("scale", 1.0)), float(given.get("offset", 0.0)))
            for name, given in config.modalities.items()
            if name in config.inputs
        },
        seed=config.seed,
        coregister=config.get("coregister", False),
        composite=composite,
        acquired={m.name: m.dates for m in acquired},
        change=_make_change(config.label.get("change")),
    )


def cloud_names(config: Any) -> tuple[str, ...]:
    """The masks of cloud that a dataset config names, one per date; older configs hold a text."""
    cloud = config.source.cloud
    return ((cloud,) if cloud else ()) if isinstance(cloud, str) else tuple(cloud)


def _stored(config: Any, modality: Modality) -> str:
    """What the raw files of a modality hold; raises `InputError` if its values cannot be made of it."""
    what = str(config.modalities[modality.name].get("stored", "values"))
    if what == "power" and modality.units != "dB":
        raise InputError(
            f"modality {modality.name!r} is made from linear power, which gives dB, but has the units "
            f"{modality.units!r}: set dataset.modalities.{modality.name}.units='dB'"
        )
    if what == "elevation" and (modality.units != "index" or not set(modality.bands) <= set(TERRAIN)):
        raise InputError(
            f"modality {modality.name!r} is made from elevation, which gives {', '.join(TERRAIN)} in the units "
            f"'index', but has the bands {modality.bands} in {modality.units!r}: correct "
            f"dataset.modalities.{modality.name}"
        )
    return what


def _make_completeness(given: Any) -> Completeness:
    """Older configs lack the section."""
    return Completeness() if given is None else Completeness(tuple(given.codes), given.cell, given.least)


def _make_change(given: Any) -> ChangeRule:
    """Older configs lack the section."""
    return ChangeRule() if given is None else ChangeRule(float(given.block), float(given.least))


def _make_modality(config: Any, name: str) -> Modality:
    if name not in config.modalities:
        raise InputError(
            f"dataset.inputs names {name!r}, which dataset.modalities does not describe: use some of "
            f"{', '.join(sorted(config.modalities))}"
        )
    given = config.modalities[name]
    spacing = float(given.spacing)
    simulated = config.simulate.enabled and name == config.inputs[0]
    files = config.source.layers.get(name, ())
    listed = _acquired(config, name) * bool(files) if config.source.kind == "archive" else len(files)
    dates = config.simulate.get("dates", 1) if simulated else listed
    if dates and int(given.get("dates") or dates) != dates:
        raise InputError(
            f"dataset.modalities.{name}.dates={given.dates} counts for archives, but dataset.source.layers lists "
            f"{dates} for this modality: remove the field, or list as many files"
        )
    if not dates:
        raise InputError(
            f"dataset.source.layers has no files for modality {name!r}: add them, one per date, or remove it from "
            "dataset.inputs"
        )
    dtype, nodata, scale, offset = ENCODINGS[given.units]
    mtf: tuple[float, ...] = ()
    if name == config.inputs[0]:
        mtf = (tuple(config.simulate.mtf) if simulated else ()) or published_mtf(tuple(given.bands), given.units)
    return Modality(
        name,
        tuple(given.bands),
        spacing,
        dtype,
        given.units,
        nodata,
        scale,
        offset,
        dates=dates,
        mtf=mtf,
        speckle=_make_speckle(given, name),
    )


def _make_speckle(given: Any, name: str) -> Speckle | None:
    """The speckle filter of a modality; older configs have none."""
    if given.get("speckle", "none") == "none":
        return None
    at = f"dataset.modalities.{name}"
    if given.units != "dB":
        raise InputError(f"{at}.speckle is for backscatter in dB, not for {given.units!r}: set it to 'none'")
    window = given.get("speckle_window", 7)
    if window % 2 == 0:
        raise InputError(f"{at}.speckle_window is {window}, but a window has a middle: set it to an odd number")
    return Speckle(given.speckle, window, float(given.get("looks", 4.4)))


def _acquired(config: Any, name: str) -> int:
    """How many acquisitions of a modality are chosen from an archive."""
    given, common = config.modalities[name], int(config.source.get("dates", 1))
    own = int(given.get("dates") or (common if given.units == "reflectance" else 1))
    if given.units == "reflectance" and own != common:
        raise InputError(
            f"dataset.modalities.{name}.dates={own} differs from dataset.source.dates={common}, but all optical bands "
            f"are taken from the same acquisitions: set dataset.source.dates alone"
        )
    return own


def _make_sensor(config: Any, modality: Modality) -> Sensor:
    bands = modality.bands
    if bands != tuple(config.image_bands):
        raise InputError(
            f"the first modality has the bands {bands}, but can only be simulated from an image with the same bands, "
            f"not {tuple(config.image_bands)}: give both the same bands, or set dataset.simulate.enabled=False"
        )
    unknown = [b for b in bands if b not in SNR_AT_REFERENCE]
    if modality.units == "reflectance" and unknown:
        raise InputError(
            f"bands {unknown} cannot be simulated as reflectance: use the names of Sentinel-2 bands "
            f"({', '.join(SNR_AT_REFERENCE)}), or set the units of modality {modality.name!r} to 'display'"
        )
    sensor = Sensor.display(bands) if modality.units == "display" else Sensor.sentinel2(bands)
    mtf, snr = tuple(config.simulate.mtf), tuple(config.simulate.snr)
    for name, values in (("mtf", mtf), ("snr", snr)):
        if values and len(values) != len(bands):
            raise InputError(
                f"dataset.simulate.{name} has {len(values)} numbers: give one for each of the bands {bands}"
            )
    if not all(0 < m < HIGHEST_MTF for m in mtf):
        raise InputError(
            f"dataset.simulate.mtf is {mtf}: each MTF at Nyquist must be above 0 and below that of an ideal pixel, "
            f"{HIGHEST_MTF:.3f}"
        )
    down, right = config.simulate.get("misregistration", sensor.shift)
    return dataclasses.replace(
        sensor,
        mtf=mtf or sensor.mtf,
        snr=snr or sensor.snr,
        shift=(float(down), float(right)),
        kernel=config.simulate.get("kernel", sensor.kernel),
    )


def strips(height: int, width: int) -> Iterator[Window]:
    """Yields full-width windows, top to bottom, that cover a raster of 10 m pixels."""
    for row in range(0, height, _STRIP):
        yield Window(row, 0, min(_STRIP, height - row), width)
