"""Making a scene: the map of a region, rendered as it stood in a year, with its partners at 10 m."""

from jointseg_jax.landscape import downstream, midstream, noise, radar, render, sky, upstream
from jointseg_jax.landscape.model import REGIONS, YEARS, SyntheticScene

LATTICE = 60  # metres; sides of a scene are multiples of the coarsest Sentinel-2 spacing
BUILDERS = {"upstream": upstream.build, "midstream": midstream.build, "downstream": downstream.build}


def make_scene(
    region: str, *, year: int, height: int, width: int, seed: int, weather: int | None = None
) -> SyntheticScene:
    """Make a synthetic scene; the same arguments give the same bits.

    The map depends on the region, the seed and the size only; the year decides which features have been built and
    what grows on the fields, the weather decides light, haze, noise and clouds. About 3-8 % of an upstream scene is
    impervious, 12-25 % midstream and 45-65 % downstream; scenes with a side below 400 m may deviate from that. Towns,
    highways and canals need a shorter side of 420 m, the city's expressway 600 m, the airport 1200 m by 1800 m.

    Args:
        region: one of REGIONS.
        year: one of YEARS.
        height: rows at 1 m, a positive multiple of 60.
        width: columns at 1 m, a positive multiple of 60.
        seed: a whole number, 0 or above.
        weather: likewise; None for that of the year. With the same year and another weather the ground is the same.

    Raises:
        ValueError: an argument is not as above.
    """
    if region not in REGIONS:
        raise ValueError(f"region {region!r} is unknown: use one of {', '.join(REGIONS)}")
    if year not in YEARS:
        raise ValueError(f"year {year!r} is unknown: use one of {', '.join(map(str, YEARS))}")
    if height <= 0 or width <= 0 or height % LATTICE or width % LATTICE:
        raise ValueError(
            f"a size of {height} x {width} is not possible: height and width must be positive multiples of {LATTICE}"
        )
    weather = year if weather is None else weather
    for name, number in (("seed", seed), ("weather", weather)):
        if number < 0:
            raise ValueError(f"{name} {number} is negative: use 0 or above")
    index = REGIONS.index(region)
    land = BUILDERS[region](seed, (height, width))
    sun = sky.sun_of(noise.stream(seed, index, "sun"), weather)
    drawing = render.draw(land, year, sun, weather)
    backscatter = radar.backscatter(
        noise.stream(seed, index, f"radar {weather}"), drawing.landcover, drawing.height, land.elevation
    )
    cloud, cloud_shadow = sky.clouds(noise.stream(seed, index, f"clouds {weather}"), (height, width), sun)
    return SyntheticScene(
        region, year, seed, drawing.reflectance, drawing.label, drawing.landcover, land.elevation, backscatter, cloud,
        cloud_shadow, tuple(f for f in land.features if f.year_built <= year), weather,
    )  # fmt: skip
