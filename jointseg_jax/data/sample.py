"""The work of `jointseg sites`: the sites, their table, map and record. The command says what the files hold."""

import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping, Sequence

import geopandas
import numpy as np
import pandas as pd
import shapely

from jointseg_jax import cli
from jointseg_jax.data.sampling import WARNING, Density, Drawn, draw
from jointseg_jax.errors import InputError
from jointseg_jax.geo.area_of_interest import read_regions
from jointseg_jax.geo.reproject import transformer
from jointseg_jax.geo.vectors import write_vectors
from jointseg_jax.rasters.decimated import read_means
from jointseg_jax.rasters.metric import utm_zone
from jointseg_jax.storage.files import write_bytes
from jointseg_jax.storage.folders import claim

FILES = ("sites.csv", "sites.gpkg", "sites.png", "sample.json")
_NAMED = 40  # sites of a map that shows their names, at most


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of a sample; see the module. Lengths in metres."""

    area: pathlib.Path
    output: pathlib.Path
    sites: int
    region: str | None = None
    density: pathlib.Path | None = None
    breaks: tuple[float, ...] = ()
    distance: float = 3000.0
    side: float = 2000.0
    seed: int = 0


def sample(request: Request) -> pd.DataFrame:
    """Draws sites and writes the files of the module's docstring.

    Returns:
        The table of sites.

    Raises:
        InputError: the arguments do not fit, or there is no room for so many sites.
    """
    if request.side * 2**0.5 > request.distance > 0:
        raise InputError(
            f"sites of --side={request.side:g} m may overlap at --distance={request.distance:g} m: make the distance "
            f"at least {request.side * 2**0.5:.0f}"
        )
    if bool(request.density) != bool(request.breaks) or list(request.breaks) != sorted(set(request.breaks)):
        raise InputError("--density needs --breaks, ascending numbers with commas, and the other way round")
    inputs = [request.area, *([request.density] if request.density else [])]
    with claim(request.output, "sample of sites", names=FILES, inputs=inputs, others="refuse"):
        regions = read_regions(request.area, request.region)
        density = None
        if request.density is not None:
            density = Density(*read_means(request.density), request.breaks)
        drawn = draw(regions, request.sites, request.distance, request.seed, density)
        table = _table(drawn, list(regions), density)
        write_bytes(request.output / "sites.csv", table.to_csv(index=False).encode())
        squares = _squares(table, request.side)
        write_vectors(request.output / "sites.gpkg", squares, "sites")
        write_bytes(request.output / "sites.png", _map(regions, drawn, squares))
        write_bytes(request.output / "sample.json", _record(request, table).encode())
    return table


def _table(drawn: Drawn, names: Sequence[str], density: Density | None) -> pd.DataFrame:
    digits = len(str(len(drawn.lon)))
    sites = [f"site{number:0{digits}d}" for number in range(1, len(drawn.lon) + 1)]
    return pd.DataFrame(
        {
            "site": sites,
            "region": [names[i] for i in drawn.region],
            "date": "",
            "folder": sites,
            "density": ["" if density is None else density.label(int(i)) for i in drawn.density],
            "lon": drawn.lon.round(6),
            "lat": drawn.lat.round(6),
        }
    )


def _squares(table: pd.DataFrame, side: float) -> geopandas.GeoDataFrame:
    """The sites as squares in degrees whose sides lie along the axes of their UTM zone, corners on whole 60 m."""
    squares = []
    for lon, lat in zip(table["lon"], table["lat"], strict=True):
        zone = utm_zone(lon, lat)
        if zone is None:
            raise InputError(f"--area reaches {lat:.4f} degrees of latitude, which UTM does not cover: cut it there")
        x, y = transformer(4326, zone).transform(lon, lat)
        left, bottom = 60 * round((x - side / 2) / 60), 60 * round((y - side / 2) / 60)
        ring = shapely.get_coordinates(shapely.box(left, bottom, left + side, bottom + side))
        squares.append(shapely.Polygon(np.column_stack(transformer(zone, 4326).transform(*ring.T))))
    return geopandas.GeoDataFrame(table[["site", "region", "density"]], geometry=squares, crs=4326)


def _map(regions: Mapping[str, shapely.Geometry], drawn: Drawn, squares: geopandas.GeoDataFrame) -> bytes:
    """A PNG: outlines of the regions and the sites, coloured by class, with their names if they are few."""
    from matplotlib.figure import Figure  # slow to import

    west, south, east, north = shapely.union_all(list(regions.values())).bounds
    stretch = np.cos(np.radians((south + north) / 2))
    width = 10.0
    height = float(np.clip(width * (north - south) / max((east - west) * stretch, 1e-9), 2.5, 12)) + 0.8
    figure = Figure((width, height), layout="constrained")
    axes = figure.add_subplot(aspect=1 / max(stretch, 0.05))
    for ground in regions.values():
        for part in shapely.get_parts(ground):
            axes.plot(*shapely.get_coordinates(part.exterior).T, color="0.5", linewidth=0.8)
    classes = sorted(set(zip(drawn.density.tolist(), squares["density"], strict=True)))
    for number, name in classes:
        colour, here = f"C{number % 10}", drawn.density == number
        axes.scatter(drawn.lon[here], drawn.lat[here], color=colour, s=6, linewidths=0, label=name)
        for square in squares.geometry[here]:
            axes.plot(*shapely.get_coordinates(square).T, color=colour, linewidth=0.8)
    if any(name for _, name in classes):
        axes.legend(title="density", fontsize=8)
    if len(squares) <= _NAMED:
        for name, lon, lat in zip(squares["site"], drawn.lon, drawn.lat, strict=True):
            axes.annotate(name, (lon, lat), (3, 3), textcoords="offset points", fontsize=8)
    axes.set_title(f"{len(squares)} training sites; grey: where their middles may lie. Not a sample for accuracy.")
    axes.set_xlabel("longitude")
    axes.set_ylabel("latitude")
    axes.ticklabel_format(useOffset=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _record(request: Request, table: pd.DataFrame) -> str:
    arguments = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in dataclasses.asdict(request).items()}
    strata = table.groupby(["region", "density"], sort=False).size()
    counts = [{"region": region, "density": density, "sites": int(n)} for (region, density), n in strata.items()]
    return json.dumps({"warning": WARNING, "arguments": arguments, "strata": counts}, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    cli.run_command("sites")
