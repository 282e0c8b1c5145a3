"""The record of a monitor, `monitor.json`: which maps were decoded, how, and with which transitions."""

import dataclasses
import pathlib
from collections.abc import Mapping

from jointseg_jax.change.ground import Ground
from jointseg_jax.change.transitions import MOST, Transitions
from jointseg_jax.storage import formats, typed

FILE, LEDGER, TILES = "monitor.json", "ledger", "tiles"
LAYERS = ("year_of_change", "states", "change_confidence", "change_count")


@dataclasses.dataclass(frozen=True)
class Date:
    """The maps of one date.

    Attributes:
        label: as the user named it: a year, a month or a day.
        time: in years and fractions of a year: the middle of the label's period.
        folder: of the maps, absolute.
        kind: "area" or "scene": whether `predict` mapped an area or one scene.
        network: name, step, weights and digest.
        settings: with which the maps were made, as text.
        threshold: at which a map shows a pixel as impervious.
        digest: SHA-256 over the checksums of all its probability rasters.
        tiles: number of its tiles; 1 for a scene.
    """

    label: str
    time: float
    folder: str
    kind: str
    network: str
    settings: Mapping[str, str]
    threshold: float
    digest: str
    tiles: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that determine the values of a monitor, besides its maps.

    Attributes:
        grid: side of a tile's square, metres.
        prior: the share of impervious that the probabilities assume; None for their mean by class of ground, see
            `estimation.class_means`.
        sharpness: factor of the log-odds, see `decode`, given by the user; None for the one estimated from the maps.
        gain, loss: yearly shares given by the user; None for those estimated from the maps.
        irreversible: whether what is built stays.
        register: whether dates are moved onto the first by the shift of their inputs.
        doubt: whether dates that contradict the others count less.
        regions: digest of the regions' polygons; empty for none.
    """

    grid: int
    prior: float | None = None
    sharpness: float | None = None
    gain: float | None = None
    loss: float | None = None
    irreversible: bool = False
    register: bool = True
    doubt: bool = True
    regions: str = ""


@dataclasses.dataclass(frozen=True)
class ClassRates:
    """What is known of a class of ground.

    Attributes:
        region: name; empty outside all regions.
        density: lowest and highest share of impervious ground around its pixels.
        pixels: of all dates, from which `mean` was taken.
        mean: of the probabilities.
        sampled: sequences from which gain and loss were estimated; 0 if they were given, or assumed for two dates.
        prior: by which its probabilities are divided.
        initial, gain, loss: see `Transitions`.
        assumed: which of "gain" and "loss" are assumed, because more was estimated than is believable.
    """

    region: str
    density: tuple[float, float]
    pixels: int
    mean: float | None
    sampled: int
    prior: float
    initial: float
    gain: float
    loss: float
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shares = (self.prior, self.initial)
        if not all(0 < s < 1 for s in shares) or not all(0 <= s <= MOST for s in (self.gain, self.loss)):
            raise ValueError(f"the class {self.region!r}, {self.density} has impossible shares")


@dataclasses.dataclass(frozen=True)
class Monitor:
    """A monitor.

    Attributes:
        dates: in order of time. A pixel of `year_of_change` is an index into them.
        settings: see `Settings`.
        regions: names; region k of a pixel is `regions[k - 1]`, 0 is outside all of them.
        classes: of ground, by index; empty before they are estimated.
        sharpness: factor of the log-odds that is decoded with.
        reference: labels of the dates in the order in which they are preferred as the reference of registration.
        differences: between the products, that the user accepted.
        identity: digest of everything that determines the values.
    """

    dates: tuple[Date, ...]
    settings: Settings
    regions: tuple[str, ...]
    classes: tuple[ClassRates, ...]
    sharpness: float
    reference: tuple[str, ...]
    differences: tuple[str, ...]
    identity: str

    def __post_init__(self) -> None:
        if self.classes and len(self.classes) != self.ground.count:
            raise ValueError(f"{len(self.regions)} regions do not have {len(self.classes)} classes of ground")

    @property
    def labels(self) -> tuple[str, ...]:
        """The dates as the user named them."""
        return tuple(date.label for date in self.dates)

    @property
    def ground(self) -> Ground:
        """The classes of ground."""
        return Ground(self.regions)

    @property
    def transitions(self) -> Transitions:
        """The chain; raises `ValueError` before it is estimated."""
        rates = self.classes
        return Transitions(
            tuple(date.time for date in self.dates),
            tuple(r.initial for r in rates),
            tuple(r.gain for r in rates),
            tuple(r.loss for r in rates),
        )

    @property
    def priors(self) -> tuple[float, ...]:
        """By class of ground."""
        return tuple(r.prior for r in self.classes)


def write_monitor(folder: pathlib.Path, monitor: Monitor) -> None:
    """Writes the record."""
    formats.write_record(folder / FILE, typed.plain(monitor), formats.MONITOR)


def read_record(folder: pathlib.Path) -> Monitor:
    """Reads the record.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged or of a newer version.
    """
    return typed.read(folder / FILE, Monitor, formats.MONITOR)
