"""Parts of a VRT file that mosaics and band stacks share: https://gdal.org/en/stable/drivers/raster/vrt.html."""

import pathlib
from xml.etree import ElementTree as xml

from odc.geo.geobox import GeoBox

from jointseg_jax.rasters import remote
from jointseg_jax.rasters.lattice import crs_text

# NumPy dtype -> GDAL type, for the dtypes that are written.
TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32",
    "float32": "Float32", "float64": "Float64",
}  # fmt: skip


def new_dataset(lattice: GeoBox) -> xml.Element:
    """The root element: size, CRS and geotransform of a lattice."""
    height, width = lattice.shape
    root = xml.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if lattice.crs is not None:
        xml.SubElement(root, "SRS").text = crs_text(lattice)
    xml.SubElement(root, "GeoTransform").text = ", ".join(repr(float(v)) for v in lattice.affine.to_gdal())
    return root


def add_band(
    root: xml.Element, number: int, dtype: str, name: str, nodata: float | None, scaling: tuple[float, float] | None
) -> xml.Element:
    """Adds a band: one-based number, a dtype of `TYPES`, description, nodata value, scale and offset."""
    band = xml.SubElement(root, "VRTRasterBand", dataType=TYPES[dtype], band=str(number))
    if name:
        xml.SubElement(band, "Description").text = name
    if nodata is not None:
        xml.SubElement(band, "NoDataValue").text = repr(nodata)
    if scaling is not None:
        xml.SubElement(band, "Offset").text = repr(scaling[1])
        xml.SubElement(band, "Scale").text = repr(scaling[0])
    return band


def add_source(
    band: xml.Element, path: pathlib.Path, number: str, *, kind: str = "SimpleSource", relative: bool = False
) -> xml.Element:
    """Adds a file to a band; its band number may be such as `mask,1`; a relative path starts from the VRT's folder."""
    source = xml.SubElement(band, kind)
    xml.SubElement(source, "SourceFilename", relativeToVRT=str(int(relative))).text = remote.gdal_name(path.as_posix())
    xml.SubElement(source, "SourceBand").text = number
    return source


def as_text(root: xml.Element) -> str:
    """The text of the file."""
    xml.indent(root)
    return xml.tostring(root, encoding="unicode") + "\n"
