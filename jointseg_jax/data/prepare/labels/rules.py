"""The rules that make a label of vectors, read from YAML; docs/your-own-data.md explains the file."""

import dataclasses
import fnmatch
import importlib.resources
import math
import pathlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import yaml

from jointseg_jax.data.prepare.labels.widths import LEAST, MOST
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import IGNORE

VALUES = {"pervious": 0, "impervious": 1, "ignore": IGNORE}
SKIP = "skip"  # features of such a rule are not burnt
SHIPPED = {"osm": "osm.yaml", "geofabrik": "geofabrik.yaml"}
DEFAULT_WIDTH = 6.0  # metres, for lines without a width where no rules are given
_COMPARED = re.compile(r"([<>])\s*(-?\d+(?:\.\d+)?)")
_LONGEST = 1 << 20  # bytes of a file of rules

Where = tuple[tuple[str, tuple[str, ...]], ...]  # all of these tags, each with one of its values


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: for records and messages.
        value: burnt (0, 1, 255); None burns nothing.
        where: a feature fits if it fits one of these; empty fits every feature.
        unless: a feature that fits one of these does not fit the rule.
        layers: names of the file's layers that it applies to; empty: all.
        width: of lines, metres, where no tag tells; None leaves lines to the rules below, unless `value` is None.
        lane_width: metres per lane of a line with a readable tag `lanes`; None ignores that tag.
        level: consecutive rules of one level are burnt as one, the larger features first; empty: this rule alone.
    """

    name: str
    value: int | None
    where: tuple[Where, ...] = ()
    unless: tuple[Where, ...] = ()
    layers: tuple[str, ...] = ()
    width: float | None = None
    lane_width: float | None = None
    level: str = ""

    def fits(self, tags: Mapping[str, str], layer: str, line: bool) -> bool:
        """Whether a feature with such tags, from a layer of that name, takes this rule."""
        if (line and self.width is None and self.value is not None) or (self.layers and layer not in self.layers):
            return False
        if self.where and not any(_all(where, tags) for where in self.where):
            return False
        return not any(_all(where, tags) for where in self.unless)


@dataclasses.dataclass(frozen=True)
class Rules:
    """All rules, from the top to the bottom: the first that fits a feature counts, and is burnt over those below it.

    Attributes:
        rules: see above.
        ground: label value where nothing is burnt.
        width_tags: tags that give the width of a line, the best first.
        given: False if the user gave no rules and every feature is impervious.
    """

    rules: tuple[Rule, ...]
    ground: int = 0
    width_tags: tuple[str, ...] = ("width", "est_width")
    given: bool = True

    @property
    def keys(self) -> frozenset[str]:
        """All tags that decide something."""
        wheres = (where for rule in self.rules for where in (*rule.where, *rule.unless))
        return frozenset(key for where in wheres for key, _ in where) | {*self.width_tags, "lanes"}

    def may_fit(self, columns: Collection[str], layer: str) -> bool:
        """Whether a rule asks for one of these tags, or for the layer of this name alone."""
        asked = (r for r in self.rules if not r.layers or layer in r.layers)
        return any(not r.where or any(key in columns for where in r.where for key, _ in where) for r in asked)

    @property
    def levels(self) -> tuple[int, ...]:
        """The level of each rule, counted from the top."""
        numbers: list[int] = []
        for number, rule in enumerate(self.rules):
            same = number and rule.level and rule.level == self.rules[number - 1].level
            numbers.append(numbers[-1] + (not same) if numbers else 0)
        return tuple(numbers)


NONE_GIVEN = Rules((Rule("every feature", 1, width=DEFAULT_WIDTH),), width_tags=("width",), given=False)


def load_rules(name: str) -> Rules:
    """Reads rules: a name in `SHIPPED`, or the path of a YAML file; empty: `NONE_GIVEN`.

    Raises:
        InputError: the file is missing, is not YAML, or a rule cannot be understood.
    """
    if not name:
        return NONE_GIVEN
    if name in SHIPPED:
        return parse_rules((importlib.resources.files(__package__) / SHIPPED[name]).read_text("utf-8"), SHIPPED[name])
    path = pathlib.Path(name).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"dataset.label.rules={name!r} cannot be read ({error.strerror}): give the path of a YAML file, or 'osm' "
            "for the rules for OpenStreetMap, or 'geofabrik' for those for Geofabrik's shapefiles"
        ) from error
    if len(data) > _LONGEST:
        raise InputError(f"{path} has {len(data)} bytes, which no file of rules has: correct dataset.label.rules")
    try:
        return parse_rules(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from error


def parse_rules(text: str, where: str) -> Rules:
    """Parses rules; see `load_rules`."""
    try:
        found = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1},"
        problem = str(getattr(error, "problem", None) or "it cannot be parsed").splitlines()[0]
        raise InputError(f"{where}{line} is not valid YAML ({problem}): correct it") from error
    except RecursionError as error:
        raise InputError(f"{where} is nested too deeply: write rules as docs/your-own-data.md shows") from error
    top = _Section(found, where, ("ground", "width_tags", "rules"))
    entries = top.take("rules", lambda value, at: value if isinstance(value, list) else _fail(at, "is no list"), [])
    if not entries:
        raise InputError(f"{where} has no rules: add them under `rules:`, see docs/your-own-data.md")
    return Rules(
        rules=tuple(_rule(entry, f"{where}, rule {number}") for number, entry in enumerate(entries, 1)),
        ground=top.take("ground", _value, VALUES["pervious"]),
        width_tags=top.take("width_tags", _texts, ("width", "est_width")),
    )


class _Loader(yaml.BaseLoader):
    """Reads all scalars as text: `no` and `yes` are values of tags here. A key that stands twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        made = super().construct_mapping(node, deep=deep)
        if len(made) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands there twice", node.start_mark)
        return made


class _Section:
    """A mapping of the file; raises `InputError` for fields that it cannot have."""

    def __init__(self, found: Any, where: str, known: Sequence[str]):
        if not isinstance(found, dict):
            raise InputError(
                f"{where} is not a list of fields `name: value`: write rules as docs/your-own-data.md shows"
            )
        strange = [key for key in found if key not in known]
        if strange:
            raise InputError(f"{where} has a field {strange[0]!r}: use {', '.join(known)}")
        self._found, self._where = found, where

    def take(self, key: str, read: Callable[[Any, str], Any], default: Any) -> Any:
        """The value of a field, read by a function; `default` if it is absent."""
        return read(self._found[key], f"{self._where}, {key}") if key in self._found else default


def _rule(entry: Any, where: str) -> Rule:
    section = _Section(entry, where, ("name", "level", "where", "unless", "layers", "label", "width", "lane_width"))
    name = section.take("name", _text, "")
    if not name:
        raise InputError(f"{where} has no `name`: give it one, for the record of a site")
    label = section.take("label", _text, "")
    if label not in (*VALUES, SKIP):
        raise InputError(f"{where} ({name}) has the label {label!r}: use {', '.join((*VALUES, SKIP))}")
    return Rule(
        name=name,
        value=VALUES.get(label),
        where=section.take("where", _wheres, ()),
        unless=section.take("unless", _wheres, ()),
        layers=section.take("layers", _texts, ()),
        width=section.take("width", _metres, None),
        lane_width=section.take("lane_width", _metres, None),
        level=section.take("level", _text, ""),
    )


def _fail(where: str, what: str) -> Any:
    raise InputError(f"{where}, {what}: correct it, see docs/your-own-data.md")


def _text(value: Any, where: str) -> str:
    return value.strip() if isinstance(value, str) else _fail(where, "is not text")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(_text(each, where) for each in values) or _fail(where, "is empty")


def _value(value: Any, where: str) -> int:
    return VALUES[value] if value in VALUES else _fail(where, f"is {value!r}, not one of {', '.join(VALUES)}")


def _metres(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    return number if LEAST <= number <= MOST else _fail(where, f"is {value!r}, not {LEAST:g} to {MOST:g} metres")


def _wheres(value: Any, where: str) -> tuple[Where, ...]:
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) and each for each in found) or not found:
        _fail(where, "must be tags with values, such as {highway: [primary, secondary]}, or a list of those")
    return tuple(tuple((str(key), _texts(values, f"{where}, {key}")) for key, values in each.items()) for each in found)


def _all(where: Where, tags: Mapping[str, str]) -> bool:
    """Whether all of the tags are there, each with one of the values wanted."""
    return all(key in tags and any(_one(value, tags[key]) for value in values) for key, values in where)


def _one(wanted: str, found: str) -> bool:
    """Whether a value is the wanted one: `*` is any but `no`; `<0` compares; `*_link` is a pattern; `a;b` is both."""
    if wanted == "*":
        return found != "no"
    if compared := _COMPARED.fullmatch(wanted):
        try:
            number = float(found)
        except ValueError:
            return False
        return number < float(compared[2]) if compared[1] == "<" else number > float(compared[2])
    return any(fnmatch.fnmatchcase(part.strip(), wanted) for part in found.split(";"))
