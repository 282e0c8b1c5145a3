"""Materials: the spectrum and texture of each, the inks made of them, and the table of inks that is rendered."""

from dataclasses import dataclass

import numpy as np

from jointseg_jax.landscape.model import LandCover

TONES = 17  # tones from -1 to 1 that a material is mixed in
TURNS, LIGHTS = 48, 50  # steps in which the direction of rows and the light of an ink are kept apart
TRAM_SPACING = 16.0  # metres between the wheel tracks of a field

# Reflectances are typical clear-sky surface reflectances in the bands of `model.BANDS`, chosen so that pervious and
# impervious materials overlap as they do in nature: bare soil and concrete, dark asphalt and water, plastic and roofs.
# Columns: name | land cover | spectrum, per mille | spectrum of brighter, drier or older tones, per mille, if any |
# relative amplitude of brightness at 1-3 m, 3-14 m and 15-90 m, and of the vigour of plants, per mille | spacing
# (metres) and amplitude (per mille) of furrows, seams or joints, and depth (per mille) of wheel tracks, if any.
_TABLE = """
forest floor    | FOREST     |  24  40  30 260 140  65 | -                       | 100 120 100 100 | -
scrub           | GRASS      |  38  62  52 280 190 110 | 115 155 200 280 380 330 | 140 160 120 160 | -
grass           | GRASS      |  36  72  50 360 220 120 |  70 105 105 290 300 210 |  80  90 120 200 | -
dry grass       | GRASS      |  58  90  86 290 270 180 |  85 122 135 290 330 260 |  80 100 140 160 | -
reed            | GRASS      |  36  58  46 280 160  80 | -                       | 140 120 100 120 | -
soil            | BARE       |  70 100 135 210 300 250 | 115 155 200 280 380 330 |  70  80 120   0 | -
dirt            | BARE       | 112 145 178 260 350 310 | 150 188 224 300 390 350 |  70 120 100   0 | -
track           | BARE       | 130 170 210 280 370 330 | 205 230 245 275 310 290 |  60  80  80   0 | -
gravel          | BARE       | 135 155 170 210 260 240 | 185 210 228 270 320 300 | 120 100 100   0 | -
sand            | BARE       | 150 190 222 290 360 330 | 105 135 160 215 260 230 |  40  60 120   0 | -
mud             | BARE       |  75 100 120 150 160 130 | -                       |  50  80 100   0 | -
rock            | BARE       |  78  90  97 135 180 165 | 112 126 134 170 210 190 | 200 260 120   0 | -
scree           | BARE       |  88 103 110 155 200 180 | -                       | 160 160 120   0 | -
construction    | BARE       | 122 155 186 260 350 310 | 155 190 222 290 380 340 |  80 130 140   0 | -
crop            | CROP       |  30  62  35 440 190  90 |  45  95  55 420 220 120 |  40  50  50 120 | 3.2 50 110
young crop      | CROP       |  55  90  88 300 250 170 |  70 100 135 210 300 250 |  60  60  80 140 | 4 80 90
maize           | CROP       |  26  52  30 390 170  80 | -                       |  80  60  60 100 | 3 80 0
ripe            | CROP       |  75 122 142 300 310 210 | 100 150 185 330 350 250 |  50  50  70  60 | 3.2 40 80
stubble         | CROP       |  95 135 168 280 350 260 | 115 155 200 280 380 330 |  60  60 100  50 | 4.5 60 40
ploughed        | CROP       |  70 100 135 210 300 250 |  48  68  88 140 200 170 |  60  50 160   0 | 3.4 60 0
fallow          | CROP       |  60  92  94 280 270 180 |  50  85  65 330 240 140 | 100 120 160 180 | -
paddy           | CROP       |  45  66  54 150  90  50 |  35  68  42 330 130  60 |  50  80 140 100 | 2.6 50 0
vegetables      | CROP       |  46  85  62 330 220 130 |  75 105 120 260 280 210 |  80  50  50 140 | 5 170 0
orchard         | CROP       |  50  80  75 290 240 150 |  70 100 135 210 300 250 |  80  80  80 120 | -
tea             | CROP       |  26  50  30 340 160  70 | -                       |  60  50  60  80 | 3 150 0
ridge           | GRASS      |  50  82  68 310 240 150 | 115 155 200 280 380 330 | 100 140 120 160 | -
plastic         | GREENHOUSE | 280 300 310 400 330 240 | 360 385 395 450 370 270 |  60 100  50   0 | -
plastic side    | GREENHOUSE | 170 195 200 280 240 170 | -                       |  50  60  50   0 | -
river           | WATER      |  60  82  66  22   7   4 |  72  99  94  34   8   5 |  15  20  50   0 | -
stream          | WATER      |  42  58  45  18   6   4 |  50  70  55  22   6   4 | 100  60  60   0 | -
pond            | WATER      |  30  48  31  18   6   4 |  46  74  42  26   8   5 |  15  20  50   0 | -
fish pond       | WATER      |  46  70  52  22   7   4 |  62  85  82  30   8   5 |  15  20  40   0 | -
canal           | WATER      |  40  56  46  20   7   5 |  50  70  50  30  10   6 |  20  30  50   0 | -
lawn            | GRASS      |  42  78  56 340 220 120 |  68 100  94 290 270 180 |  80 120 120 200 | -
garden          | GRASS      |  45  72  60 280 210 120 | 115 155 200 280 380 330 | 120 200 120 220 | -
pitch           | GRASS      |  36  80  44 380 200 100 |  50  90  65 340 230 130 |  30  40  60  60 | 12 70 0
asphalt         | ROAD       |  86  94  99 115 138 133 | 125 138 148 168 195 185 |  45  50  50   0 | -
new asphalt     | ROAD       |  50  56  61  72  88  85 |  86  94  99 115 138 133 |  40  30  40   0 | -
concrete road   | ROAD       | 140 158 170 200 235 220 | 190 212 225 255 290 270 |  50  60  50   0 | 6 30 0
sidewalk        | ROAD       | 155 172 185 215 250 230 | 150 155 175 210 250 230 |  60  70  50   0 | -
bridge deck     | ROAD       | 130 145 155 180 210 200 | 205 230 245 275 310 290 |  40  30  30   0 | -
yard            | PAVED      | 165 188 203 235 270 250 | 205 230 245 275 310 290 |  60 100  80   0 | -
alley           | PAVED      | 115 130 142 170 200 190 | 205 230 245 275 310 290 |  80 120  80   0 | -
plaza           | PAVED      | 195 210 222 255 300 280 | 155 155 185 240 280 260 |  40  50  50   0 | 7 25 0
car park        | PAVED      |  88  98 107 125 150 145 | 130 143 153 175 200 190 |  50  70  50   0 | -
apron           | PAVED      | 215 240 255 285 320 300 | 170 190 200 230 270 250 |  30  50  50   0 | 7.5 25 0
runway          | PAVED      | 105 117 127 145 170 165 | 140 155 165 190 210 200 |  35  40  50   0 | -
track red       | PAVED      |  95  83 185 245 300 270 | -                       |  30  50  40   0 | -
court green     | PAVED      |  75 115  90 170 200 170 |  70 100 110 170 200 170 |  30  40  30   0 | -
court blue      | PAVED      | 155 115  85 170 200 170 | -                       |  30  40  30   0 | -
footpath        | PAVED      | 170 190 205 240 280 260 | 150 150 175 220 260 240 |  50  60  50   0 | -
roof flat       | BUILDING   | 205 225 238 270 310 290 | 290 310 320 340 350 320 |  60  80  40   0 | -
roof bitumen    | BUILDING   |  75  83  90 110 130 130 | 125 135 145 170 200 190 |  70  80  40   0 | -
roof white      | BUILDING   | 460 485 490 500 430 360 | 360 385 400 420 380 330 |  30  50  30   0 | 6 40 0
roof grey metal | BUILDING   | 245 262 272 300 330 310 | 330 350 360 380 380 340 |  30  40  30   0 | 5 70 0
roof blue       | BUILDING   | 235 185 115 220 270 230 | 300 260 190 280 310 260 |  30  50  30   0 | 5 70 0
roof red        | BUILDING   |  80  82 195 280 330 270 | 120 125 235 310 350 290 |  30  50  30   0 | 5 60 0
roof green      | BUILDING   | 100 155 110 200 240 200 | 150 210 160 250 280 230 |  30  50  30   0 | 5 60 0
tile red        | BUILDING   |  78  95 168 245 310 270 | 100 115 165 230 290 260 |  90  70  30   0 | -
tile grey       | BUILDING   |  78  86  92 115 150 145 | 115 125 135 165 200 190 |  90  70  30   0 | -
tile brown      | BUILDING   |  75  88 115 165 220 200 | 110 130 160 210 260 240 |  90  70  30   0 | -
solar           | BUILDING   |  55  50  48  60  70  70 | -                       |  40  20   0   0 | -
machine         | BUILDING   | 300 320 330 350 330 300 | 120 130 140 160 180 170 |  60  20   0   0 | -
white paint     | PAVED      | 310 330 335 350 340 310 | -                       |  60 100  50   0 | -
yellow paint    | PAVED      | 120 240 300 340 340 310 | -                       |  60 100  50   0 | -
white car       | PAVED      | 420 440 440 430 370 330 | 360 380 390 390 360 330 |  30   0   0   0 | -
dark car        | PAVED      |  30  32  34  45  60  60 |  75  80  85 100 120 120 |  30   0   0   0 | -
grey car        | PAVED      | 170 180 185 200 210 200 | 260 270 275 290 290 270 |  30   0   0   0 | -
red car         | PAVED      |  50  40 200 280 250 220 | -                       |  30   0   0   0 | -
blue car        | PAVED      | 170 100  60 150 180 160 | -                       |  30   0   0   0 | -
orange box      | PAVED      |  70 110 270 330 320 270 |  60  70 160 240 260 220 |  40   0   0   0 | -
rust            | WATER      |  90 100 140 170 200 180 | 160 180 200 220 230 210 |  50  40   0   0 | -
"""

# Crowns of trees.
BROADLEAF = np.array([0.030, 0.062, 0.036, 0.42, 0.20, 0.090], np.float32)
CONIFER = np.array([0.023, 0.041, 0.027, 0.30, 0.13, 0.056], np.float32)
AUTUMN = np.array([0.042, 0.078, 0.062, 0.38, 0.22, 0.112], np.float32)

# How plants change from dry to lush, per band: less red and short-wave infrared, more near infrared.
LUSH = np.array([-0.35, -0.12, -0.75, 0.45, -0.35, -0.60], np.float32)

TONE_STRENGTH = np.array([0.24, 0.22, 0.21, 0.15, 0.14, 0.14])  # relative change of a tone of +1, per band


@dataclass(frozen=True)
class Material:
    """One row of the table; spectra are [6], `texture` is grain, blotch, patch, vigour, `rows` spacing, depth, tram."""

    cover: LandCover
    spectrum: np.ndarray
    other: np.ndarray | None
    texture: np.ndarray
    rows: np.ndarray

    def mixed(self, tone: float) -> np.ndarray:
        """Return the spectrum [6] at a tone in -1..1: darker or brighter, and leaning to the other spectrum."""
        if self.other is not None and tone > 0:
            leaning = self.spectrum + 0.9 * tone * (self.other - self.spectrum)
            return leaning * (1 + 0.3 * tone * TONE_STRENGTH)
        return self.spectrum * (1 + tone * TONE_STRENGTH)


def _parsed(row: str) -> tuple[str, Material]:
    name, cover, *numbers = (cell.strip() for cell in row.split("|"))
    spectrum, other, texture, rows = (None if n == "-" else np.array(n.split(), float) / 1000 for n in numbers)
    assert spectrum is not None
    assert texture is not None
    spaced = np.array([4.0, 0.0, 0.0]) if rows is None else rows * (1000, 1, 1)
    return name, Material(LandCover[cover], spectrum, other, texture, spaced)


MATERIALS = dict(_parsed(row) for row in _TABLE.strip().splitlines())


@dataclass(frozen=True)
class InkTable:
    """What every ink looks like, one row per ink.

    `spectrum` is float32 [inks, 6]; `cover` is a LandCover code, uint8 [inks]; all else is float32 [inks]: the relative
    amplitudes of the noise fields, wave numbers of the rows (radians per metre), their spacing and amplitude, and the
    depth of wheel tracks.
    """

    spectrum: np.ndarray
    cover: np.ndarray
    grain: np.ndarray
    blotch: np.ndarray
    patch: np.ndarray
    vigor: np.ndarray
    wave_x: np.ndarray
    wave_y: np.ndarray
    period: np.ndarray
    rows: np.ndarray
    tram: np.ndarray


class Palette:
    """Gives out inks: small integers, each a material in one tone, direction of rows and light."""

    def __init__(self) -> None:
        self._inks: dict[tuple[str, int, int, int], int] = {}

    def ink(self, look: str, tone: float = 0.0, angle: float = 0.0, light: float = 1.0) -> int:
        """Return the ink of a look at a tone in -1..1, with rows along `angle` (radians), under a relative light."""
        step = round(min(1.0, max(-1.0, float(tone))) * (TONES // 2))
        key = (look, step, round(float(angle) / np.pi * TURNS) % TURNS, round(float(light) * LIGHTS))
        return self._inks.setdefault(key, len(self._inks))

    def table(self) -> InkTable:
        """Return the table of all inks given out so far."""
        looks, steps, turns, lights = zip(*self._inks, strict=True)
        materials = [MATERIALS[look] for look in looks]
        spectra = [
            m.mixed(s / (TONES // 2)) * light / LIGHTS for m, s, light in zip(materials, steps, lights, strict=True)
        ]
        grain, blotch, patch, vigor = np.array([m.texture for m in materials], np.float32).T
        period, rows, tram = np.array([m.rows for m in materials], np.float32).T
        angle = (np.array(turns) * np.pi / TURNS).astype(np.float32)
        wave = np.float32(2 * np.pi) / period
        return InkTable(
            np.array(spectra, np.float32), np.array([m.cover for m in materials], np.uint8),
            grain, blotch, patch, vigor, -np.sin(angle) * wave, np.cos(angle) * wave, period, rows, tram,
        )  # fmt: skip
