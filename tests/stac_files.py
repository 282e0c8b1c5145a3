"""The rasters of a toy site as assets of STAC items, one COG per band, named as public archives name them."""

import json

import geopandas
import rasterio
import rasterio.shutil
import shapely

EARTH_SEARCH = {
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B08": "nir",
    "B11": "swir16",
    "B12": "swir22",
    "SCL": "scl",
}
COPERNICUS = {
    **{band: f"{band}_10m" for band in ("B02", "B03", "B04", "B08")},
    **{band: f"{band}_20m" for band in ("B11", "B12", "SCL")},
}


def write_cogs(site, folder, *, change=None):
    """Writes one COG per band, without tags; `change(band, numbers)` makes its numbers. Returns bounds in degrees."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("s2", "s2_20m", "scl"):
        with rasterio.open(site / f"{name}.tif") as raster:
            profile = {
                "driver": "GTiff",
                "count": 1,
                "crs": raster.crs,
                "transform": raster.transform,
                "nodata": raster.nodata,
            }
            profile |= {"height": raster.height, "width": raster.width, "dtype": raster.dtypes[0]}
            bounds = raster.bounds
            for number, band in enumerate(raster.descriptions, start=1):
                values = raster.read(number)
                with rasterio.MemoryFile() as memory:
                    with memory.open(**profile) as target:
                        target.write(values if change is None else change(band, values), 1)
                    with memory.open() as source:
                        rasterio.shutil.copy(source, folder / f"{band}.tif", driver="COG", compress="DEFLATE")
            crs = raster.crs
    return geopandas.GeoSeries([shapely.box(*bounds)], crs=crs).to_crs(4326)[0].bounds


def item(name, base, box, *, keys=EARTH_SEARCH, date="2021-06-03T03:25:41Z", cloud=7.5, **properties):
    """An item whose assets are the COGs below `base`."""
    assets = {
        key: {
            "href": f"{base}/{band}.tif",
            "roles": ["data"],
            **({"eo:bands": [{"name": key, "common_name": EARTH_SEARCH[band]}]} if band != "SCL" else {}),
        }
        for band, key in keys.items()
    }
    if not set(properties) & {"s2:processing_baseline", "processing:version"}:
        properties["s2:processing_baseline"] = "05.00"
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "bbox": list(box), "links": [], "assets": assets, "collection": "s2",
        "properties": {"datetime": date, "eo:cloud_cover": cloud, **properties},
    }  # fmt: skip


def write_catalogue(folder, items):
    """A static catalogue: catalog.json -> s2/collection.json -> s2/NAME.json."""
    (folder / "s2").mkdir(parents=True, exist_ok=True)
    links = []
    for one in items:
        (folder / "s2" / f"{one['id']}.json").write_text(json.dumps(one))
        links.append({"rel": "item", "href": f"./{one['id']}.json"})
    common = {"stac_version": "1.0.0", "description": "a test"}
    (folder / "s2" / "collection.json").write_text(
        json.dumps(
            {"type": "Collection", "id": "s2", **common, "links": [*links, {"rel": "root", "href": "../catalog.json"}]}
        )
    )
    child = [{"rel": "child", "href": "./s2/collection.json"}]
    (folder / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "all", **common, "links": child}))


def write_json(path, record):
    path.write_text(json.dumps(record))
