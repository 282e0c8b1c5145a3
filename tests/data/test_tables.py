"""Tables and names of sites as spreadsheets and people write them."""

import datetime
import os

import pytest

from jointseg_jax.data.prepare import site_list, sources
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.sources.dates import interval_of, iso_moment, spanned, without_times

pytestmark = pytest.mark.quick

HEADER = "site,region,date,folder\n"


@pytest.fixture
def listed(tmp_path):
    """Writes sites.csv and lists its sites."""

    def read(content):
        (tmp_path / "sites.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return site_list.from_table(tmp_path)

    return read


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}a,north,2021,x\n",
        (f"{HEADER}a,north,2021,x\n").encode("utf-8-sig"),
        f"{HEADER}a,north,2021,x\n".replace(",", ";"),
        f"{HEADER}a,north,2021,x\n".replace(",", "\t"),
        f"{HEADER}a,north,2021,x\n".replace("\n", "\r\n"),
        f"\n{HEADER}\na , north,2021, x\n,,,\n",
        'site,region,date,folder,place\n"a","north","2021","x",""\n',
    ],
)
def test_a_table_as_spreadsheets_save_it(listed, tmp_path, content):
    assert listed(content) == [sources.SiteEntry("a", "a", "north", "2021", tmp_path / "x")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("site,region\n", r"lacks the columns \['date', 'folder'\]"),
        (HEADER, "lists no site"),
        ((HEADER + "Zürich,r,,x\n").encode("latin-1"), "not in UTF-8 .byte 0xfc in line 2"),
        ((HEADER + "a,r,,x\n").encode("utf-16"), "is in UTF-16"),
        ((HEADER + "a,r,,x\n").encode("utf-16-le"), "NUL character in line 1"),
        (HEADER + 'a,"r,,x\nb,r,,y\n', "close every quotation mark"),
        (HEADER + 'a,"r,,x\nb,r",,y\n', "close every quotation mark"),
        (HEADER + "a,r,,x,too,many\n", "6 cells in line 2, but 4 in its header: add or remove"),
        (HEADER + "a,r\n", "2 cells in line 2"),
        ("site,region,date,folder,site\na,r,,x,b\n", r"columns \['site'\] twice"),
        (HEADER + "a,r,,x\na,r,,y\n", "lists site 'a' twice"),
        (HEADER + "a,r,,x\nA,r,,y\n", "'A' and 'a', which many file systems"),
        (HEADER + "caf\u00e9,r,,x\ncafe\u0301,r,,y\n", "which many file systems"),
        (HEADER + "n" * 300 + ",r,,x\n", "300 bytes"),
        (HEADER + "..,r,,x\n", "begins with a dot"),
        (HEADER + "/tmp/a,r,,x\n", "contains a slash"),
        (HEADER + "a\x07b,r,,x\n", "control character"),
        (HEADER + "nul,r,,x\n", "Windows"),
        (HEADER + "a.,r,,x\n", "ends with a dot"),
        (HEADER + "a,r,2021-06-30/2021-06-01,x\n", "not an ISO date"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(listed, content, message):
    with pytest.raises(InputError, match=message) as caught:
        listed(content)
    assert "sites.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "sites.csv")
    with pytest.raises(InputError, match="not a file: save"):
        site_list.from_table(tmp_path)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="not a file: save"):
        read_table(tmp_path, ["site"])


def test_a_site_that_is_asked_for_and_not_listed(listed, tmp_path):
    listed(HEADER + "a,r,,x\nb,r,,y\n")
    assert [s.name for s in site_list.from_table(tmp_path, ["b"])] == ["b"]
    with pytest.raises(InputError, match=r"only names \['c'\].*use some of a, b"):
        site_list.from_table(tmp_path, ["a", "c"])


def test_scenes_are_named_by_the_same_rules(tmp_path):
    for name in ("a", "A"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.tif").touch()
    with pytest.raises(InputError, match="many file systems"):
        site_list.from_scenes(tmp_path, "image.*")


def test_absolute_names_are_looked_for_where_they_say(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    for path in (folder / "image.tif", tmp_path / "roads.gpkg"):
        path.touch()
    entry = sources.SiteEntry("a", "a", "r", "", folder)
    found = sources.find(entry, sources.Names(vectors=(str(tmp_path / "roads.gpkg"),)), (), tmp_path)
    assert found.vectors == (tmp_path / "roads.gpkg",)
    with pytest.raises(InputError, match=r"gone\.gpkg is missing"):
        sources.find(entry, sources.Names(vectors=(str(tmp_path / "gone.gpkg"),)), (), tmp_path)


@pytest.mark.parametrize("name", ["", ".", "a\0b", "**x", "n" * 5000])
def test_names_of_files_that_are_none(tmp_path, name):
    entry = sources.SiteEntry("a", "a", "r", "", tmp_path)
    with pytest.raises(InputError) as caught:
        sources.find(entry, sources.Names(image=name), (), tmp_path)
    assert "\n" not in str(caught.value)


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2021", utc(2021, 1, 1), utc(2021, 12, 31, 23, 59, 59)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 2, 29, 23, 59, 59)),
        ("2021-06-01", utc(2021, 6, 1), utc(2021, 6, 1)),
        ("2021-06-01T05:25:41+02:00", utc(2021, 6, 1, 3, 25, 41), utc(2021, 6, 1, 3, 25, 41)),
        ("2021/2022-03", utc(2021, 1, 1), utc(2022, 3, 31, 23, 59, 59)),
        ("2021-06-01/2021-06-11", utc(2021, 6, 1), utc(2021, 6, 11, 23, 59, 59)),
    ],
)
def test_a_date_is_the_time_it_names(text, first, last):
    assert interval_of(text) == (first, last)


@pytest.mark.parametrize("text", ["", "0000", "2021/", "/2021", "2022/2021", "2021/2022/2023", "2021-06-01/.."])
def test_what_is_no_interval(text):
    assert iso_moment(text) == ""
    assert interval_of(text) is None


def test_dates_without_their_times_and_the_interval_of_several():
    assert without_times("2021-06-01T03:25:41Z/2021-06-05T00:00:00Z") == "2021-06-01/2021-06-05"
    assert without_times("2021-06") == "2021-06"
    assert spanned(("2021-06-03", "2021-05-20T03:15:00Z", "2021-06-10")) == "2021-05-20T03:15:00Z/2021-06-10"
    assert spanned(("2021-06-03", "2021-06-03")) == "2021-06-03"
    assert [
        spanned(dates) for dates in ((), ("2021-06-03", None), ("2021-06-03", "2021"), ("2021-06-01/2021-06-03",))
    ] == [""] * 4
