"""Styles and the project for QGIS: their XML beside the rasters that it describes; and in QGIS itself where it is."""

import json
import shutil
import subprocess
from xml.etree import ElementTree as xml

import pytest
import rasterio

from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.layer_style import style_of
from jointseg_jax.mapping.product.qgis_style import write_styles
from jointseg_jax.mapping.product.tile_record import LAYERS
from jointseg_jax.rasters.pictures.drawing import COLORMAP

LABEL = Label.of_record({})
_OPEN = """
import json, sys
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
found = {"read": project.read(sys.argv[1]), "crs": project.crs().authid(), "title": project.title(), "layers": {}}
for layer in project.mapLayers().values():
    inside = layer.dataProvider().sample(layer.extent().center(), 1)
    found["layers"][layer.name()] = [layer.isValid(), layer.renderer().type(), inside[0]]
alone = QgsRasterLayer(sys.argv[2], "alone")
found["alone"] = [item[0] for item in alone.renderer().legendSymbologyItems()]
print(json.dumps(found))
project.clear()
"""


def test_every_layer_has_a_style_or_none_is_meant():
    assert [layer for layer in LAYERS if style_of(layer, LABEL) is None] == ["image", "scene"]
    table = style_of("impervious", LABEL).table()
    assert {value: tuple(table[value]) for value in (0, 1, 255)} == COLORMAP
    for layer in LAYERS:
        style = style_of(layer, LABEL)
        if style is not None:
            assert style.table()[255, 3] == 0, layer  # nodata stays transparent
            assert bool(style.classes) != bool(style.stops), layer
    assert tuple(style_of("probability", LABEL).table()[100, :3]) == (225, 139, 134)  # half way, in stored numbers


def test_a_style_names_the_label():
    built = Label("built_proxy", ("other", "built_proxy"))
    assert [text for _, _, text in style_of("impervious", built).classes] == ["built_proxy", "other"]


def test_styles_and_project_describe_the_rasters(written):
    """Numbers in a style are scaled as QGIS scales the raster; every path of the project is there, and relative."""
    folder, _ = written
    for path in sorted((folder / "mosaics").glob("*.vrt")):
        renderer = xml.parse(path.with_suffix(".qml")).getroot().find("pipe/rasterrenderer")
        with rasterio.open(path) as raster:
            scale = raster.scales[0]
            if renderer.get("type") == "multibandcolor":
                names = {n: raster.descriptions[int(renderer.get(f"{n}Band")) - 1] for n in ("red", "green", "blue")}
                assert names == {"red": "B04", "green": "B03", "blue": "B02"}
            elif renderer.get("type") == "singlebandpseudocolor":
                values = [float(item.get("value")) for item in renderer.iter("item")]
                assert values[-1] == pytest.approx(200 * scale)
            else:
                assert {int(e.get("value")) for e in renderer.iter("paletteEntry")} == {0, 1}
    root = xml.parse(folder / "product.qgs").getroot()
    sources = [layer.findtext("datasource") for layer in root.iter("maplayer")]
    assert len(sources) == len(list((folder / "mosaics").glob("*.vrt"))) == len(list(root.iter("layer-tree-layer")))
    assert all(source.startswith("./") and (folder / source).is_file() for source in sources)
    assert {g.get("name") for g in root.iter("layer-tree-group") if g.get("name")} == {"EPSG:32650", "EPSG:32651"}


def test_styles_of_one_scene_lie_beside_its_rasters(product):
    folder, rows = product
    files = {layer: folder / file["path"] for layer, file in next(iter(rows.values()))["files"].items()}
    styles = write_styles(files, LABEL)
    assert set(styles) == set(files) - {"scene"}
    assert all(path.with_suffix(".tif").is_file() for path in styles.values())


@pytest.mark.slow
def test_qgis_opens_it(written):
    """With the system's QGIS; skips without one."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    if (
        python is None
        or subprocess.run([python, "-c", "import qgis.core"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no QGIS for the system's Python (apt-get install python3-qgis)")
    folder, _ = written
    arguments = [str(folder / "product.qgs"), str(folder / "mosaics" / "impervious_32650.vrt")]
    ran = subprocess.run(
        [python, "-W", "ignore", "-c", _OPEN, *arguments], capture_output=True, text=True, check=True,
        env={"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin", "HOME": str(folder.parent)},
    )  # fmt: skip
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["read"]
    assert (found["crs"], found["title"]) == ("EPSG:32650", "Impervious surface at 1 m")
    assert all(valid for valid, _, _ in found["layers"].values())
    kinds = {name.split(",")[0]: kind for name, (_, kind, _) in found["layers"].items()}
    assert kinds["impervious surface"] == "paletted"
    assert kinds["probability of impervious surface"] == "singlebandpseudocolor"
    assert kinds["super-resolved image"] == "multibandcolor"
    probabilities = [v for name, (_, _, v) in found["layers"].items() if name.startswith("probability")]
    assert all(v is None or 0 <= v <= 1 for v in probabilities)  # QGIS applies the scale
    assert found["alone"] == ["impervious", "pervious"]  # the style beside the raster
