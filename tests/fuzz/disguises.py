"""The same ground, told in another way: most of it has to be read as if nothing had been done."""

import numpy as np
from fuzz.scene_drafts import NAMES, mutation
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

# All ground, as zones are changed too: what has no place in common with a raster is no evidence for it.
WORLD = "<EXT_POS_LIST>85 0 85 90 85 180 85 -90 -85 0 -85 90 -85 180 -85 -90</EXT_POS_LIST>"
XML = f"<root><info>{WORLD}{{}}</info></root>"
OFFSETS = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(13))


@mutation("accept")
def band_order(rng, d):
    order = rng.sample(range(len(d.names)), len(d.names))
    d.values, d.names = d.values[order + list(range(len(d.names), len(d.values)))], [d.names[i] for i in order]


@mutation("accept")
def extra_band(rng, d):
    more = np.full_like(d.values[:1], 1500)
    at = rng.randrange(len(d.names) + 1)
    d.values, d.names = np.insert(d.values, at, more, 0), [*d.names[:at], "B05", *d.names[at:]]


@mutation("accept")
def compressed(rng, d):
    d.options |= rng.choice(({"compress": "deflate"}, {"compress": "lzw"}, {"compress": "zstd"}, {"BIGTIFF": "YES"}))


@mutation("accept")
def tiled(_, d):
    d.options |= {"tiled": True, "blockxsize": 16, "blockysize": 16}


@mutation("accept")
def by_pixel(_, d):
    d.options |= {"interleave": "pixel"}


@mutation("accept")
def cubic_overviews(_, d):
    d.overviews = True


@mutation("accept")
def wider_type(rng, d):
    if d.values.dtype == np.uint16:
        d.values = d.values.astype(rng.choice((np.int32, np.uint32)))


@mutation("accept")
def no_nodata(_, d):
    """Zero marks absence in Sentinel-2's numbers, whether a tag says so or not."""
    if np.issubdtype(d.values.dtype, np.integer):
        d.nodata = None


@mutation("accept")
def other_nodata(_, d):
    if d.values.dtype == np.uint16:
        absent = ~d.valid
        d.values[:, absent] = 65535
        d.nodata = 65535


@mutation()
def floats(_, d):
    """Reflectance as floats, absent where NaN."""
    stack = np.moveaxis(d.truth, -1, 0).astype(np.float32).copy()
    stack[:, ~d.valid] = np.nan
    d.values, d.names, d.nodata, d.tags = stack, list(NAMES), float("nan"), {}
    d.scales, d.offsets = [], []


@mutation()
def zero_floats(_, d):
    """Reflectance as floats, 0 in all bands where absent, and no nodata value."""
    stack = np.moveaxis(np.where(d.valid[..., None], d.truth, 0), -1, 0).astype(np.float32)
    d.values, d.names, d.nodata, d.tags, d.scales, d.offsets = stack, list(NAMES), None, {}, [], []


@mutation()
def taken_off(_, d):
    """An archive that took the +1000 off and says so."""
    if np.issubdtype(d.values.dtype, np.integer):
        d.values = np.where(d.values > 1000, d.values - 1000, 0).astype(d.values.dtype)
        d.valid = (d.values[[d.index(b) for b in NAMES]] > 0).all(0)
        d.nodata, d.tags["RADIO_ADD_OFFSET"] = 0, "0"


@mutation("accept")
def gdal_scale(_, d):
    if np.issubdtype(d.values.dtype, np.integer):
        d.scales, d.offsets = [1e-4], [-0.1]


@mutation("accept")
def by_baseline(rng, d):
    d.tags = {"PROCESSING_BASELINE": rng.choice(("05.00", "04.00", "N0511", "05.10"))}


@mutation()
def by_xml(_, d):
    d.tags = {}
    d.beside["MTD_MSIL2A.xml"] = XML.format(OFFSETS).encode()


@mutation("accept")
def xml_agrees(_, d):
    d.beside["MTD_MSIL2A.xml"] = XML.format(OFFSETS).encode()


@mutation("accept")
def inner_mask(_, d):
    d.mask = np.where(d.valid, 255, 0).astype(np.uint8)


@mutation()
def alpha_band(_, d):
    """As `gdalwarp -dstalpha` leaves it: absent is what the last band says."""
    hole = np.zeros(d.valid.shape, bool)
    hole[5:9, 4:8] = True
    d.valid = d.valid & ~hole
    d.values[:, hole] = d.values[:, 10:11, 10] if d.values.shape[1:] == d.valid.shape else 0
    top = np.iinfo(d.values.dtype).max if np.issubdtype(d.values.dtype, np.integer) else 255
    d.values = np.concatenate([d.values, np.where(d.valid, top, 0)[None].astype(d.values.dtype)])
    d.interpretation = [ColorInterp.gray, *[ColorInterp.undefined] * (len(d.values) - 2), ColorInterp.alpha]
    d.options["alpha"] = "unspecified"
    d.nodata = None


@mutation("accept")
def floor(rng, d):
    """Two pixels of the darkest that Sen2Cor writes."""
    for _ in range(2):
        r, c, b = rng.randrange(4, 16), rng.randrange(16), rng.randrange(4)
        if np.issubdtype(d.values.dtype, np.integer) and d.values.shape[1:] == d.valid.shape:
            d.values[d.index(NAMES[b]), r, c] = 1
            d.doubt = d.valid & False if d.doubt is None else d.doubt
            d.doubt[r, c] = True


@mutation("accept")
def lake(rng, d):
    """A few pixels of water a little below 0."""
    r, c = rng.randrange(4, 14), rng.randrange(2, 14)
    if np.issubdtype(d.values.dtype, np.integer) and d.values.shape[1:] == d.valid.shape:
        d.values[d.index("B08"), r : r + 2, c : c + 2] = 700
        d.truth[r : r + 2, c : c + 2, 3] = np.float32(-0.03)


@mutation("accept")
def partial(_, d):
    """Half of the granule is absent."""
    if d.values.shape[1:] == d.valid.shape:
        d.values[:, :, :8] = 0 if d.nodata is None else d.nodata
        d.valid[:, :8] = False


@mutation()
def unnamed(_, d):
    d.names = []


@mutation("accept")
def numbered(_, d):
    d.flags["bands"] = tuple(d.index(b) + 1 for b in NAMES)


@mutation("accept")
def other_zone(rng, d):
    d.crs = f"EPSG:{rng.choice((32601, 32633, 32733, 32660))}"


@mutation("accept")
def kept_degrees(_, d):
    d.crs, d.transform = "EPSG:4326", Affine(1e-4, 0, 118.0, 0, -1e-4, 31.0)
    d.flags["keep_grid"] = True


@mutation("accept")
def other_tags(_, d):
    d.tags |= {"eo:cloud_cover": "nan", "datetime": "never", "é": "ü", "empty": ""}


@mutation("accept")
def apple_double(_, d):
    d.beside["._scene.tif"] = b"\x00\x05\x16\x07Mac OS X"


@mutation("accept")
def overview_beside(_, d):
    d.beside["scene.tif.ovr.txt"] = b"nothing"
