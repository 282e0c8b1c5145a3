"""Small Sentinel-2 products, as .SAFE folders and zip archives with real JPEG 2000 files."""

import zipfile

import numpy as np
import rasterio
from rasterio.transform import from_origin

LEFT, TOP, SIDE = 600_000, 3_400_020, 48  # side in 10 m pixels
SPACINGS = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20, "B12": 20, "SCL": 20}


def write_jp2(path, values, spacing, *, crs="EPSG:32650", left=LEFT, top=TOP):
    """Writes numbers [h, w] without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=height, width=width, count=1, dtype=values.dtype, crs=crs,
        transform=from_origin(left, top, spacing, spacing), QUALITY="100", REVERSIBLE="YES",
    ) as raster:  # fmt: skip
        raster.write(values, 1)


def write_safe(
    folder, *, date="20220514T024551", level="2A", baseline="04.00", offset=-1000, cloud=(), percent=5.0, side=SIDE,
    tile="T50RQU", crs="EPSG:32650", left=LEFT, top=TOP, seed=0, numbers=None,
):  # fmt: skip
    """Writes a product.

    Args:
        cloud: slices of the 20 m classification that are cloud; its pixels are bright.
        offset: of the XML, None for an XML without one.
        numbers: band -> numbers [h, w] to store, the classification `SCL` among them; made up if None.

    Returns:
        The .SAFE folder, and reflectance [h, w] by band at its own spacing.
    """
    number = baseline.replace(".", "")
    safe = folder / f"S2A_MSIL{level}_{date}_N{number}_R132_{tile}_{date[:8]}T070000.SAFE"
    images = safe / "GRANULE" / f"L{level}_{tile}_A036000_{date}" / "IMG_DATA"
    rng = np.random.default_rng(seed)
    truth = {}
    classes = np.full((side // 2, side // 2), 4, np.uint8)
    for part in cloud:
        classes[part] = 9
    for band, spacing in SPACINGS.items():
        name = f"{tile}_{date}_{band}"
        if level == "2A":
            path = images / f"R{spacing}m" / f"{name}_{spacing}m.jp2"
        elif band == "SCL":
            continue
        else:
            path = images / f"{name}.jp2"
        if numbers is not None:
            write_jp2(path, numbers[band], spacing, crs=crs, left=left, top=top)
        elif band == "SCL":
            write_jp2(path, classes, spacing, crs=crs, left=left, top=top)
        if numbers is not None or band == "SCL":
            continue
        n = side * 10 // spacing
        dn = rng.integers(300, 2500, (n, n))
        dn[np.kron(classes, np.ones((2, 2)))[:n, :n] == 9 if spacing == 10 else classes == 9] = 9000
        truth[band] = dn / 10000
        write_jp2(path, (dn - (offset or 0)).astype(np.uint16), spacing, crs=crs, left=left, top=top)
    kind = "BOA" if level == "2A" else "RADIO"
    offsets = "" if offset is None else f"<{kind}_ADD_OFFSET>{offset}</{kind}_ADD_OFFSET>"
    (safe / f"MTD_MSIL{level}.xml").write_text(
        f"<a><PRODUCT_START_TIME>{date[:4]}-{date[4:6]}-{date[6:8]}T02:45:51.024Z</PRODUCT_START_TIME>"
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>{offsets}"
        f"<Cloud_Coverage_Assessment>{percent}</Cloud_Coverage_Assessment></a>"
    )
    return safe, truth


def safe_of_site(folder, target, *, date="20210601T031500", cloud=None):
    """Writes the Sentinel-2 rasters of a toy site as a product; `cloud` replaces its classification [h, w]."""
    numbers = {}
    for name in ("s2", "s2_20m", "scl"):
        with rasterio.open(folder / f"{name}.tif") as raster:
            numbers |= dict(zip(raster.descriptions, raster.read(), strict=True))
            if name == "s2":
                crs, corner = raster.crs, raster.transform
    if cloud is not None:
        numbers["SCL"] = cloud
    return write_safe(target, date=date, numbers=numbers, crs=crs, left=corner.c, top=corner.f)[0]


def pack(safe):
    """Packs a product into an archive beside it; returns the archive."""
    archive = safe.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(safe.rglob("*")):
            packed.write(file, file.relative_to(safe.parent))
    return archive
