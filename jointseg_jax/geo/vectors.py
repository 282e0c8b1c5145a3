"""Reads and writes vector files, and checks coordinates and CRS of their layers. Remote data are never read."""

import contextlib
import dataclasses
import io
import pathlib
import warnings
from collections.abc import Collection, Iterator, Mapping

import geopandas
import numpy as np
import pyogrio
import pyproj
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import is_tangled
from jointseg_jax.storage.files import write_bytes

AREAL = ("Polygon", "MultiPolygon", "GeometryCollection")
_HEAD = 4096  # bytes in which a text file's format shows
# Files that point at other data, perhaps on another machine; GDAL would follow them.
_POINTERS = (b"<OGRVRTDataSource", b"<OGRWFSDataSource", b"gdal_streamed_alg")
# GDAL cannot switch HTTP off, and a GeoJSON may give its CRS, or a GML its schema, as an address.
_OFFLINE = {"GDAL_HTTP_PROXY": "127.0.0.1:9", "GML_DOWNLOAD_SCHEMA": "NO"}
# A ring that the edge of an OpenStreetMap extract cuts open encloses unknown ground; GDAL would close it.
_NO_GUESSES = {"OGR_GEOMETRY_ACCEPT_UNCLOSED_RING": "NO"}


@dataclasses.dataclass(frozen=True)
class VectorLayer:
    """A layer of a vector file.

    Attributes:
        path: of the file.
        name: of the layer.
        table: fields and two-dimensional geometries, in the layer's CRS; rings are closed, geometries may be missing
            or invalid.
    """

    path: pathlib.Path
    name: str
    table: geopandas.GeoDataFrame

    @property
    def kinds(self) -> list[str]:
        """The geometry types of the layer, sorted."""
        return sorted(set(self.table.geom_type.dropna()))

    def check(self) -> None:
        """Raises `InputError` unless the layer has a CRS on the Earth and usable coordinates."""
        geometries = self.table.geometry.values
        points, owner = shapely.get_coordinates(geometries, return_index=True)
        self.check_crs(points[np.isfinite(points).all(-1)])
        bad = owner[~np.isfinite(points).all(-1)]
        if len(bad):
            raise InputError(f"{self.where(bad[0])} has a coordinate that is not a finite number: correct it")
        rough = np.flatnonzero(~(shapely.is_valid(geometries) & shapely.is_simple(geometries)))
        for number in rough:
            if geometries[number] is not None and is_tangled(geometries[number]):
                raise InputError(
                    f"{self.where(number)} crosses itself thousands of times, probably because its vertices are out "
                    "of order: draw it again or remove it"
                )

    def where(self, number: int | np.integer) -> str:
        """Names a feature, counted from 0, in a message."""
        return f"feature {int(number) + 1} of layer {self.name!r} of {self.path}"

    def check_crs(self, points: np.ndarray) -> None:
        """Raises `InputError` unless the layer has a CRS on the Earth that suits its points.

        Args:
            points: [n, 2], finite; all of the layer, or two opposite corners of its extent.
        """
        crs: pyproj.CRS | None = self.table.crs
        if crs is None:
            raise InputError(
                f"layer {self.name!r} of {self.path} has no CRS: assign the one of its coordinates (ogr2ogr -a_srs "
                "EPSG:...)"
            )
        try:
            pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
            placed = crs.is_geographic or crs.is_projected
        except pyproj.exceptions.ProjError:  # an engineering CRS, another planet
            placed = False
        if not placed:
            raise InputError(
                f"layer {self.name!r} of {self.path} has the CRS {crs.name!r}, which cannot be transformed to "
                "longitude and latitude: assign the CRS of its coordinates (ogr2ogr -a_srs EPSG:...)"
            )
        if crs.is_geographic and ((np.abs(points) > (360, 90)).any()):
            worst = points[np.argmax(np.abs(points).max(-1))].tolist()
            raise InputError(
                f"layer {self.name!r} of {self.path} has a CRS in degrees, but a point at {worst}: assign the CRS of "
                "its coordinates (ogr2ogr -a_srs EPSG:...)"
            )
        if crs.is_projected and len(points) and (np.abs(points) <= (180, 90)).all():
            raise InputError(
                f"layer {self.name!r} of {self.path} has the projected CRS {crs.name}, but all its points lie between "
                f"{points.min(0).tolist()} and {points.max(0).tolist()}, which look like degrees: assign the CRS of "
                "its coordinates (ogr2ogr -a_srs EPSG:4326)"
            )


def read_layers(path: pathlib.Path) -> list[VectorLayer]:
    """Reads every layer with geometries of a vector file, unchecked: see `VectorLayer.check`.

    Args:
        path: GeoPackage, GeoJSON, shapefile, KML or another format that GDAL reads; or GeoParquet.

    Raises:
        InputError: the file is missing, unreadable, only points at other data, or has no layer with geometries.
    """
    check_file(path)
    with reading(path):
        if path.suffix.lower() == ".parquet":
            return [VectorLayer(path, path.stem, flat(geopandas.read_parquet(path)))]
        listed = geopandas.list_layers(path)
        names = [str(name) for name in listed["name"][listed["geometry_type"].notna()]]
        layers = [
            VectorLayer(path, name, flat(geopandas.read_file(path, layer=name, on_invalid="fix"))) for name in names
        ]
    if not layers:
        raise InputError(
            f"{path} has no layer with geometries (its layers: {listed['name'].tolist()}): give another file"
        )
    return layers


def layers_with(path: pathlib.Path, kinds: Collection[str] = AREAL) -> list[VectorLayer]:
    """Reads and checks the layers of a file that hold geometries of some types.

    Raises:
        InputError: see `read_layers` and `VectorLayer.check`; or no layer holds such geometries.
    """
    layers = read_layers(path)
    wanted = [layer for layer in layers if set(layer.kinds) & set(kinds)]
    if not wanted:
        found = sorted({kind for layer in layers for kind in layer.kinds})
        raise InputError(
            f"{path} has no polygons, only {', '.join(found) or 'empty geometries'}: give a file with polygons"
        )
    for layer in wanted:
        layer.check()
    return wanted


def write_vectors(path: pathlib.Path, frame: geopandas.GeoDataFrame, layer: str | None = None) -> None:
    """Writes a layer as GeoPackage or as GeoJSON (in longitude and latitude), by the suffix.

    The file is built in memory, because GDAL's drivers hide a full disk or leave half a file.

    Raises:
        ValueError, RuntimeError: the format cannot hold the fields.
        OSError: the file cannot be written.
    """
    buffer, name = io.BytesIO(), layer or path.stem
    if path.suffix.lower() == ".geojson":
        pyogrio.write_dataframe(frame.to_crs(4326), buffer, layer=name, driver="GeoJSON", RFC7946="YES")
    else:
        pyogrio.write_dataframe(frame, buffer, layer=name, driver="GPKG")
    write_bytes(path, buffer.getvalue())


def is_osm(path: pathlib.Path) -> bool:
    """Whether a file is an extract of OpenStreetMap, `.osm` or `.osm.pbf`."""
    return path.suffix.lower() in (".pbf", ".osm")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message."""
    return next(iter(str(error).split("; It might help")[0].splitlines()), "") or type(error).__name__


def flat(table: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The same table with two-dimensional geometries."""
    return table.set_geometry(table.geometry.force_2d())


def check_file(path: pathlib.Path) -> None:
    """Raises `InputError` unless a path leads to a file, or a folder, that holds vectors itself."""
    if not path.exists():
        raise InputError(f"{path} does not exist: give a vector file such as belt.geojson")
    if path.is_dir():  # a File Geodatabase, or shapefiles
        return
    if not path.is_file():
        raise InputError(f"{path} is a pipe or a device, not a file: save its content in a file first")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    if any(pointer in head for pointer in _POINTERS):
        raise InputError(
            f"{path} has no geometries, only a reference to other data: copy them into a file first (ogr2ogr area.gpkg "
            f"{path.name})"
        )


def _bad_crs(path: pathlib.Path, error: Exception) -> InputError:
    prj = path.with_suffix(".prj")
    if prj.exists():
        return InputError(
            f"{prj} has no CRS that can be read ({first_line(error)}): replace the file by one with the CRS of the "
            f"data (gdalsrsinfo -o wkt_esri EPSG:... > {prj.name})"
        )
    return InputError(f"{path} has no CRS that can be read ({first_line(error)}): assign one (ogr2ogr -a_srs EPSG:...)")


@contextlib.contextmanager
def reading(path: pathlib.Path) -> Iterator[None]:
    """Reads a vector file inside the block, without other machines; raises `InputError` for damage of any kind."""
    try:
        with warnings.catch_warnings(), _options(_OFFLINE | (_NO_GUESSES if is_osm(path) else {})):
            warnings.simplefilter("ignore")  # the checks here cover open rings, NaN and several layers
            yield
    except pyproj.exceptions.CRSError as error:
        raise _bad_crs(path, error) from error
    except (InputError, MemoryError):  # are no damage
        raise
    except Exception as error:  # drivers, GEOS and Arrow raise many kinds for a damaged file
        if "CRS" in type(error).__name__:
            raise _bad_crs(path, error) from error
        raise InputError(
            f"{path} cannot be read as a vector file ({first_line(error)}): restore it or correct the path"
        ) from error


@contextlib.contextmanager
def _options(options: Mapping[str, str]) -> Iterator[None]:
    """Sets options of GDAL's vector drivers while the block runs."""
    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    pyogrio.set_gdal_config_options(options)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)
