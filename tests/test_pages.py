"""A report's blocks as a page and as Markdown."""

import pytest
from browser import browser

from jointseg_jax.pages import Code, Heading, Items, Paragraph, Picture, Table, to_html, to_markdown

BLOCKS = [
    Heading("Part <one>"),
    Paragraph("a & b", "bad"),
    Items([]),
    Items(["x < y"]),
    Code("python a.py --b='c'"),
    Table(("n", "v"), [("p|q", 1.5)]),
    Picture(b"\x89PNG", 'the "map"', "map.png", drawn=True),
]


@pytest.mark.quick
def test_a_page_holds_its_pictures_and_no_markup_of_the_data():
    page = to_html("T <i>", BLOCKS)
    assert "<h1>T &lt;i&gt;</h1>" in page
    assert "<p class=bad>a &amp; b</p>" in page
    assert "<li>x &lt; y</li>" in page
    assert page.count("<ul>") == 1
    assert "<td>p|q</td><td>1.5</td>" in page
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert 'alt="the &quot;map&quot;"' in page
    assert "http" not in page


@pytest.mark.quick
def test_markdown_says_the_same():
    text = to_markdown("T", BLOCKS)
    assert text.startswith("# T\n\n## Part <one>\n\na & b\n\n- x < y\n\n```\npython a.py")
    assert "| n | v |\n| --- | --- |\n| p\\|q | 1.5 |" in text
    assert text.endswith('![the "map"](map.png)\n')


def test_nothing_is_cut_off_in_print(tmp_path):
    """On paper nothing scrolls: a wide table and a long command must fit between the margins of A4 (182 mm)."""
    head = ("region", "km2", "precision", "recall", "F1", "IoU", "macro F1", "OA", "kappa", "mapped / reference", "ECE")
    table = Table(head, [["10 m oracle", *["0.812"] * 10]] * 3)
    path = tmp_path / "page.html"
    path.write_text(to_html("T", [Code("python evaluate.py " + "--workdir=runs/some " * 20), table]))
    with browser() as started:
        page = started.new_page(viewport={"width": 687, "height": 900})
        page.goto(path.as_uri())
        wide = "[...document.querySelectorAll('table, pre')].map(e => Math.max(e.scrollWidth, e.offsetWidth))"
        assert max(page.evaluate(wide)) > 687
        page.emulate_media(media="print")
        assert max(page.evaluate(wide)) <= 687
