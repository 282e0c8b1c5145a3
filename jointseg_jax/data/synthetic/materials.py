"""What each material is counted as in the land cover, and how its surface is textured."""

from dataclasses import dataclass

from jointseg_jax.data.synthetic.model import LandCover

TONES = 17  # tones from -1 to 1 that a material is mixed in
TRAM_SPACING = 16.0  # metres between the wheel tracks of a field


@dataclass(frozen=True)
class Texture:
    """Land cover and texture of one material.

    `grain`, `blotch`, `patch` are relative amplitudes of brightness at 1-3 m, 3-14 m and 15-90 m; `vigor` is the
    amplitude by which plants vary between lush and dry. `period` and `rows` give furrows, seams or joints their spacing
    (metres) and amplitude; `tram` is the depth of wheel tracks.
    """

    cover: LandCover
    grain: float
    blotch: float
    patch: float
    vigor: float = 0.0
    period: float = 4.0
    rows: float = 0.0
    tram: float = 0.0


TEXTURES: dict[str, Texture] = {
    # Natural ground.
    "forest floor": Texture(LandCover.FOREST, 0.1, 0.12, 0.1, vigor=0.1),
    "scrub": Texture(LandCover.GRASS, 0.14, 0.16, 0.12, vigor=0.16),
    "grass": Texture(LandCover.GRASS, 0.08, 0.09, 0.12, vigor=0.2),
    "dry grass": Texture(LandCover.GRASS, 0.08, 0.1, 0.14, vigor=0.16),
    "reed": Texture(LandCover.GRASS, 0.14, 0.12, 0.1, vigor=0.12),
    "soil": Texture(LandCover.BARE, 0.07, 0.08, 0.12),
    "dirt": Texture(LandCover.BARE, 0.07, 0.12, 0.1),
    "track": Texture(LandCover.BARE, 0.06, 0.08, 0.08),
    "gravel": Texture(LandCover.BARE, 0.12, 0.1, 0.1),
    "sand": Texture(LandCover.BARE, 0.04, 0.06, 0.12),
    "mud": Texture(LandCover.BARE, 0.05, 0.08, 0.1),
    "rock": Texture(LandCover.BARE, 0.2, 0.26, 0.12),
    "scree": Texture(LandCover.BARE, 0.16, 0.16, 0.12),
    "construction": Texture(LandCover.BARE, 0.08, 0.13, 0.14),
    # Fields.
    "crop": Texture(LandCover.CROP, 0.04, 0.05, 0.05, vigor=0.12, period=3.2, rows=0.05, tram=0.11),
    "young crop": Texture(LandCover.CROP, 0.06, 0.06, 0.08, vigor=0.14, period=4, rows=0.08, tram=0.09),
    "maize": Texture(LandCover.CROP, 0.08, 0.06, 0.06, vigor=0.1, period=3, rows=0.08),
    "ripe": Texture(LandCover.CROP, 0.05, 0.05, 0.07, vigor=0.06, period=3.2, rows=0.04, tram=0.08),
    "stubble": Texture(LandCover.CROP, 0.06, 0.06, 0.1, vigor=0.05, period=4.5, rows=0.06, tram=0.04),
    "ploughed": Texture(LandCover.CROP, 0.06, 0.05, 0.16, period=3.4, rows=0.06),
    "fallow": Texture(LandCover.CROP, 0.1, 0.12, 0.16, vigor=0.18),
    "paddy": Texture(LandCover.CROP, 0.05, 0.08, 0.14, vigor=0.1, period=2.6, rows=0.05),
    "vegetables": Texture(LandCover.CROP, 0.08, 0.05, 0.05, vigor=0.14, period=5, rows=0.17),
    "orchard": Texture(LandCover.CROP, 0.08, 0.08, 0.08, vigor=0.12),
    "tea": Texture(LandCover.CROP, 0.06, 0.05, 0.06, vigor=0.08, period=3, rows=0.15),
    "ridge": Texture(LandCover.GRASS, 0.1, 0.14, 0.12, vigor=0.16),
    "plastic": Texture(LandCover.GREENHOUSE, 0.06, 0.1, 0.05),
    "plastic side": Texture(LandCover.GREENHOUSE, 0.05, 0.06, 0.05),
    # Water.
    "river": Texture(LandCover.WATER, 0.015, 0.02, 0.05),
    "stream": Texture(LandCover.WATER, 0.1, 0.06, 0.06),
    "pond": Texture(LandCover.WATER, 0.015, 0.02, 0.05),
    "fish pond": Texture(LandCover.WATER, 0.015, 0.02, 0.04),
    "canal": Texture(LandCover.WATER, 0.02, 0.03, 0.05),
    "pool": Texture(LandCover.WATER, 0.03, 0.03, 0),
    # Open ground in towns.
    "lawn": Texture(LandCover.GRASS, 0.08, 0.12, 0.12, vigor=0.2),
    "garden": Texture(LandCover.GRASS, 0.12, 0.2, 0.12, vigor=0.22),
    "pitch": Texture(LandCover.GRASS, 0.03, 0.04, 0.06, vigor=0.06, period=12, rows=0.07),
    # Sealed ground.
    "asphalt": Texture(LandCover.ROAD, 0.045, 0.05, 0.05),
    "new asphalt": Texture(LandCover.ROAD, 0.04, 0.03, 0.04),
    "concrete road": Texture(LandCover.ROAD, 0.05, 0.06, 0.05, period=6, rows=0.03),
    "sidewalk": Texture(LandCover.ROAD, 0.06, 0.07, 0.05),
    "bridge deck": Texture(LandCover.ROAD, 0.04, 0.03, 0.03),
    "yard": Texture(LandCover.PAVED, 0.06, 0.1, 0.08),
    "alley": Texture(LandCover.PAVED, 0.08, 0.12, 0.08),
    "plaza": Texture(LandCover.PAVED, 0.04, 0.05, 0.05, period=7, rows=0.025),
    "car park": Texture(LandCover.PAVED, 0.05, 0.07, 0.05),
    "apron": Texture(LandCover.PAVED, 0.03, 0.05, 0.05, period=7.5, rows=0.025),
    "runway": Texture(LandCover.PAVED, 0.035, 0.04, 0.05),
    "track red": Texture(LandCover.PAVED, 0.03, 0.05, 0.04),
    "court green": Texture(LandCover.PAVED, 0.03, 0.04, 0.03),
    "court blue": Texture(LandCover.PAVED, 0.03, 0.04, 0.03),
    "footpath": Texture(LandCover.PAVED, 0.05, 0.06, 0.05),
    # Roofs.
    "roof flat": Texture(LandCover.BUILDING, 0.06, 0.08, 0.04),
    "roof bitumen": Texture(LandCover.BUILDING, 0.07, 0.08, 0.04),
    "roof white": Texture(LandCover.BUILDING, 0.03, 0.05, 0.03, period=6, rows=0.04),
    "roof grey metal": Texture(LandCover.BUILDING, 0.03, 0.04, 0.03, period=5, rows=0.07),
    "roof blue": Texture(LandCover.BUILDING, 0.03, 0.05, 0.03, period=5, rows=0.07),
    "roof red": Texture(LandCover.BUILDING, 0.03, 0.05, 0.03, period=5, rows=0.06),
    "roof green": Texture(LandCover.BUILDING, 0.03, 0.05, 0.03, period=5, rows=0.06),
    "tile red": Texture(LandCover.BUILDING, 0.09, 0.07, 0.03),
    "tile grey": Texture(LandCover.BUILDING, 0.09, 0.07, 0.03),
    "tile brown": Texture(LandCover.BUILDING, 0.09, 0.07, 0.03),
    "solar": Texture(LandCover.BUILDING, 0.04, 0.02, 0),
    "machine": Texture(LandCover.BUILDING, 0.06, 0.02, 0),
    "tank": Texture(LandCover.PAVED, 0.03, 0.03, 0),
    # Paint and things that move.
    "white paint": Texture(LandCover.PAVED, 0.06, 0.1, 0.05),
    "yellow paint": Texture(LandCover.PAVED, 0.06, 0.1, 0.05),
    "white car": Texture(LandCover.PAVED, 0.03, 0, 0),
    "dark car": Texture(LandCover.PAVED, 0.03, 0, 0),
    "grey car": Texture(LandCover.PAVED, 0.03, 0, 0),
    "red car": Texture(LandCover.PAVED, 0.03, 0, 0),
    "blue car": Texture(LandCover.PAVED, 0.03, 0, 0),
    "orange box": Texture(LandCover.PAVED, 0.04, 0, 0),
    "rust": Texture(LandCover.WATER, 0.05, 0.04, 0),
}
