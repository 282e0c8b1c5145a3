"""The published set of Dubai, in its layout as downloaded, becomes the scenes that configs/dubai.py takes."""

import numpy as np
import pytest
import rasterio
from PIL import Image

from jointseg_jax.commands import dubai as command
from jointseg_jax.configs import dubai as config
from jointseg_jax.data import dubai
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick

# As in the set, parts of one tile differ by a pixel, and the tile is no multiple of ten.
ROWS, COLS = (11, 10, 12), (14, 13, 14)


def write_tile(folder, number, rng):
    """Writes the nine parts of a tile; the codes of the whole."""
    codes = rng.integers(0, 6, (sum(ROWS), sum(COLS))).astype(np.uint8)
    colour = {code: rgb for rgb, code in dubai.CODES.items()}
    mask = np.array([colour[c] for c in range(6)], np.uint8)[codes]
    image = np.repeat(codes[..., None] * 40, 3, -1)
    part = 0
    for row, height in zip(np.cumsum((0, *ROWS)), ROWS, strict=False):
        for col, width in zip(np.cumsum((0, *COLS)), COLS, strict=False):
            part += 1
            for kind, picture, suffix in (("images", image, "jpg"), ("masks", mask, "png")):
                path = folder / f"Tile {number}" / kind / f"image_part_{part:03d}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture[row : row + height, col : col + width]).save(path, quality=100)
    return codes, image


@pytest.fixture
def download(tmp_path):
    rng = np.random.default_rng(0)
    truth = {number: write_tile(tmp_path, number, rng) for number in range(1, 9)}
    return tmp_path, truth


def test_scenes_are_the_tiles_joined(download, capsys):
    folder, truth = download
    assert command.main([str(folder)]) == 0
    made = folder / "dubai"
    assert sorted(p.name for p in made.iterdir()) == list(config.FOLDS)
    corners = set()
    for number in dubai.TILES:
        codes, image = truth[number]
        with rasterio.open(made / f"scene{number}" / "landcover.tif") as raster:
            np.testing.assert_array_equal(raster.read(1), codes[:30, :40])
            assert (raster.crs.to_epsg(), raster.res) == (32640, (1.0, 1.0))
            corners.add(raster.transform.c)
        with rasterio.open(made / f"scene{number}" / "image.tif") as raster:
            assert raster.shape == (30, 40)
            assert np.abs(raster.read().mean(0) - image[:30, :40, 0]).mean() < 12  # JPEG
    assert len(corners) == 7
    assert f"JOINTSEG_DATA={folder} jointseg prepare --config=dubai" in capsys.readouterr().out


def test_what_is_not_this_set(download):
    folder, _ = download
    part = folder / "Tile 2" / "masks" / "image_part_005.png"
    rest = part.read_bytes()
    part.unlink()
    with pytest.raises(InputError, match=r"image_part_005\.png is missing: give the folder of the unpacked download"):
        dubai.make_scenes(folder)
    Image.fromarray(np.full((10, 13, 3), 7, np.uint8)).save(part)
    with pytest.raises(InputError, match=r"\d+% of the masks of .*Tile 2 have other colours"):
        dubai.make_scenes(folder)
    Image.fromarray(np.full((9, 13, 3), 7, np.uint8)).save(part)
    with pytest.raises(InputError, match=r"do not join to a rectangle of three rows .*13 x 9"):
        dubai.make_scenes(folder)
    part.write_bytes(rest)
    (folder / "Tile 3" / "images" / "image_part_001.jpg").write_text("not a picture")
    with pytest.raises(InputError, match="image_part_001"):
        dubai.make_scenes(folder)
