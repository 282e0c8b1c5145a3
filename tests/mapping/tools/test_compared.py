"""A mapped area beside a product: here, because areas are mapped here."""

import numpy as np
import pytest
import rasterio

from jointseg_jax.evaluation.compare_products import compare_products
from jointseg_jax.evaluation.products.given import parse
from jointseg_jax.evaluation.products.maps import read_map
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.stac_records import write_records


@pytest.mark.slow
def test_the_tiles_of_an_area_are_compared_and_its_years_known(product, trained, tmp_path):
    """Five tiles in two zones, and a tile of the first as the product."""
    folder, rows = product
    card = cards.model_item(trained, {"checkpoint": cards.checkpoint_asset(trained, "x")})
    write_records(folder, rows, card, say=lambda _: None)
    ours = read_map(folder)
    assert ours.years == (2021, 2021)
    assert len(ours.files) == 5
    part = folder / rows["50N_0000_0340"]["files"]["impervious"]["path"]
    out = tmp_path / "out"
    given = parse(f"part:{part},built=1,year=2019", ours.years)
    record = compare_products(ours, [given], output=out, rasters=True)
    with rasterio.open(part) as raster:
        classes = raster.read(1)
    found = record["agreement"]["all"]["part"]
    assert found["f1"] == 1
    assert found["compared_km2"] == pytest.approx((classes != 255).sum() / 1e6, rel=2e-3)
    assert found["coverage"] < 0.5
    assert record["products"]["part"]["flagged"]
    assert {p.name for p in out.glob("*.png")} == {"difference_part_32650.png", "difference_part_32651.png"}
    with rasterio.open(out / "difference/part/50N_0000_0340.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), classes)  # neither is 0, both is 1
