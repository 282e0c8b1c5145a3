"""What has to be refused, or read right all the same."""

import numpy as np
import rasterio
import toy
from fuzz.disguises import OFFSETS, XML, floats
from fuzz.scene_drafts import NAMES, mutation
from rasterio.transform import Affine


@mutation("refuse")
def degrees(_, d):
    d.crs, d.transform = "EPSG:4326", Affine(1e-4, 0, 118.0, 0, -1e-4, 31.0)


@mutation("refuse")
def feet(rng, d):
    d.crs = rng.choice(("EPSG:2263", "EPSG:3435", "EPSG:2225"))


@mutation("refuse")
def web_mercator(_, d):
    d.crs, d.transform = "EPSG:3857", Affine(10, 0, 1_000_000, 0, -10, 6_600_000)


@mutation("refuse")
def no_crs(_, d):
    d.crs = None


@mutation("refuse")
def engineering(_, d):
    d.crs = 'LOCAL_CS["site grid",UNIT["metre",1]]'


@mutation()
def south_up(_, d):
    d.transform = Affine(10, 0, toy.LEFT, 0, 10, toy.TOP - 160)
    d.values = d.values[:, ::-1].copy()


@mutation("refuse")
def rotated(rng, d):
    d.transform = d.transform * Affine.rotation(rng.choice((1, 30, 90)))


@mutation("refuse")
def only_gcps(_, d):
    points = ((0, 0), (0, 16), (16, 0), (16, 16))
    d.gcps = [rasterio.control.GroundControlPoint(r, c, toy.LEFT + 10 * c, toy.TOP - 10 * r) for r, c in points]


@mutation("refuse")
def other_spacing(rng, d):
    size = rng.choice((20.0, 9.99, 1.0, 30.0, 1e-6, 1e9))
    d.transform = Affine(size, 0, toy.LEFT, 0, -size, toy.TOP)


@mutation("refuse")
def oblong(_, d):
    d.transform = Affine(10, 0, toy.LEFT, 0, -20, toy.TOP)


@mutation("refuse")
def no_place(rng, d):
    where = rng.choice((float("nan"), float("inf"), 1e300))
    d.transform = Affine(10, 0, where, 0, -10, toy.TOP)


@mutation("refuse")
def scaled_twice(rng, d):
    floats(rng, d)
    d.values = d.values * np.float32(1e-4)


@mutation("refuse")
def unscaled_floats(rng, d):
    floats(rng, d)
    d.values = d.values * np.float32(rng.choice((10000, 100, 255)))


@mutation("refuse")
def float_scale_tag(rng, d):
    floats(rng, d)
    d.scales = [1e-4]


@mutation("refuse")
def slipped_sign(_, d):
    d.tags = {"RADIO_ADD_OFFSET": "1000"}


@mutation("refuse")
def offset_text(rng, d):
    d.tags = {"RADIO_ADD_OFFSET": rng.choice(("abc", "nan", "inf", "-1e300", "-1", "-10000", "−1000", "-1000, -1000"))}


@mutation("refuse")
def no_evidence(_, d):
    d.tags = {}


@mutation()
def xml_text(rng, d):
    content = rng.choice(("abc", "nan", "", "1e999", "-1000 DN"))
    d.beside["MTD_MSIL2A.xml"] = XML.format(f"<BOA_ADD_OFFSET>{content}</BOA_ADD_OFFSET>").encode()


@mutation()
def xml_damaged(rng, d):
    whole = XML.format(OFFSETS).encode()
    d.beside["MTD_MSIL2A.xml"] = rng.choice((b"", whole[:40], b"\xff\xfe", b"<a>" * 3000, rng.randbytes(50)))


@mutation("refuse")
def no_offset_number(rng, d):
    if d.values.dtype != np.uint16:
        d.must.append("refuse")
    d.offsets = [rng.choice((float("nan"), float("inf"), -1e30))]


@mutation("refuse")
def no_scale(rng, d):
    d.scales = [rng.choice((0.0, float("nan"), float("inf"), -1e-4))]


@mutation("refuse")
def scales_differ(_, d):
    d.scales, d.offsets = [1e-4, 2e-4, 1e-4, 1e-4], [-0.1]


@mutation()
def wild_pixel(rng, d):
    floats(rng, d)
    at = (rng.randrange(4), rng.randrange(3, 16), rng.randrange(16))
    d.values[at] = rng.choice((1e38, -1e38, np.inf, -np.inf, -9999))
    d.doubt = np.zeros(d.valid.shape, bool)
    d.doubt[at[1:]] = True


@mutation("refuse")
def complex_numbers(_, d):
    d.values, d.nodata = d.values.astype(np.complex64), None


@mutation("refuse")
def eight_bits(_, d):
    d.values, d.nodata = np.clip(d.values // 20, 0, 255).astype(np.uint8), None


@mutation("refuse")
def missing_band(rng, d):
    at = rng.randrange(4)
    d.values, d.names = np.delete(d.values, at, 0), [n for i, n in enumerate(d.names) if i != at]


@mutation("refuse")
def doubled_name(_, d):
    if len(d.names) > 2:
        d.names = [d.names[0], d.names[0], *d.names[2:]]


@mutation("refuse")
def narrow_infrared(rng, d):
    other = rng.choice(("B8A", "NIR narrow (B8A)", "rededge1", "red_edge_1"))
    d.names = [other if n == "B08" else n for n in d.names]


@mutation("refuse")
def contradicted(_, d):
    d.flags["bands"] = tuple(reversed(range(1, 5)))


@mutation("refuse")
def bad_numbers(rng, d):
    d.flags["bands"] = rng.choice(((1, 1, 1, 1), (0, 1, 2, 3), (1, 2, 3, 99), (1, 2), (-1, 2, 3, 4), (1, 2, 3, 4, 5)))


@mutation("refuse")
def unknown_mode(_, d):
    d.flags["mode"] = "magic"


@mutation("refuse")
def nothing_valid(_, d):
    d.values = np.zeros_like(d.values)
    d.nodata = 0


@mutation("refuse")
def constant(rng, d):
    """One number everywhere is no ground."""
    d.values = np.full_like(d.values, rng.choice((1, 1500, 60000)))


@mutation()
def one_pixel(_, d):
    d.values, d.truth, d.valid = d.values[:, -1:, -1:].copy(), d.truth[-1:, -1:], d.valid[-1:, -1:]
    d.doubt = None if d.doubt is None else d.doubt[-1:, -1:]


@mutation()
def strange_nodata(rng, d):
    if np.issubdtype(d.values.dtype, np.integer):
        d.nodata = rng.choice((int(d.values[d.index("B04"), 8, 8]), 1, 1000))
        d.valid = d.valid & (d.values[[d.index(b) for b in NAMES]] != d.nodata).all(0)
