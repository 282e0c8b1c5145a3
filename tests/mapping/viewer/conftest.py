"""A page of a product."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(scope="session")
def viewed(made_product, trained, raw, tmp_path_factory):
    """The page of a product with all its layers, its inputs and a table with three polygons; the lines that it said."""
    import copy
    import shutil

    import pages

    from jointseg_jax.mapping.records.model_card import checkpoint_asset, model_item
    from jointseg_jax.mapping.records.stac_records import write_records
    from jointseg_jax.mapping.viewer.build import build

    made, rows = made_product
    folder = tmp_path_factory.mktemp("viewed") / "product"
    shutil.copytree(made, folder)
    rows = {k: copy.deepcopy(v) for k, v in rows.items() if k.startswith("50N")}
    for row in rows.values():
        pages.add_layers(folder, row)
    write_records(folder, rows, model_item(trained, {"c": checkpoint_asset(trained, "x")}), say=print)
    inputs = [raw / name / "s2.tif" for name in "abcd"]
    lines: list[str] = []
    page = build(folder, inputs=inputs, table=pages.table_of(folder, rows), say=lines.append)
    return page, lines
