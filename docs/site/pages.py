"""Pages of the site that are made from the code: mkdocs calls `on_config`, then `on_files`.

The start page is README.md, the last page CONTRIBUTING.md; the reference is read from the modules themselves, so it
cannot differ from them.
"""

import ast
import contextlib
import io
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
# The functions of configs/common.py whose fields lie in a section of the config.
_SECTIONS = {
    "experiment": "", "loss": "loss.", "adversarial": "adversarial.", "dataset": "dataset.", "model": "model.",
}  # fmt: skip
_HEADS = {
    "": "Experiment", "data": "Batches", "loss": "Losses", "adversarial": "Adversarial phase", "optimizer": "Optimiser",
    "mesh": "Devices", "model": "Network", "dataset": "Dataset", "dataset.source": "Dataset: sources",
    "dataset.modalities": "Dataset: modalities", "dataset.label": "Dataset: label", "dataset.simulate": "Dataset: "
    "simulated input", "dataset.split": "Dataset: splits",
}  # fmt: skip


def on_config(config: Any) -> Any:
    """Puts guides that the navigation does not name at the end of its part "How to"."""
    named = set(re.findall(r"[\w./-]+\.md", repr(config["nav"])))
    guides = next(part["How to"] for part in config["nav"] if "How to" in part)
    guides += sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made from the code."""
    from mkdocs.structure.files import File  # tests of the pages need no mkdocs

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """The pages that are made from the code: path below docs/ -> Markdown."""
    return {
        "index.md": start(),
        "contributing.md": contributing(),
        **networks(),
        "reference/python.md": python_names(),
        "reference/commands.md": commands(),
        "reference/config.md": config_fields(),
        "reference/formats.md": formats(),
        "reference/statuses.md": statuses(),
    }


def start() -> str:
    """README.md with its links as seen from docs/."""
    return _links((ROOT / "README.md").read_text(encoding="utf-8"))


def contributing() -> str:
    """CONTRIBUTING.md with its links as seen from docs/."""
    return _links((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


def _links(text: str) -> str:
    text = re.sub(r"\[docs/([^]]*)\]\(docs/", r"[\1](", text)
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\]\(jointseg_jax/shipped/(\w+)/README\.md\)", r"](networks/\1.md)", text)
    return text.replace("](CONTRIBUTING.md)", "](contributing.md)").replace("](README.md)", "](index.md)")


def networks() -> dict[str, str]:
    """The cards of the networks that come with the package."""
    from jointseg_jax import shipped

    return {
        f"networks/{name}.md": (shipped.shipped(name) / "README.md").read_text(encoding="utf-8")
        for name in shipped.names()
    }


def python_names() -> str:
    """Every public name, from its docstring."""
    import jointseg_jax as js

    lines = [
        "# Python", "", "`import jointseg_jax as js` offers these names. Every other module of the package is private: "
        "it may change in any version. [Work from Python](../python.md) shows them at work.", "",
    ]  # fmt: skip
    for name in js.__all__:
        lines += [f"::: jointseg_jax.{js._PLACES[name]}.{name}", ""]
    return "\n".join(lines)


def commands() -> str:
    """The help of every command, as `jointseg COMMAND --help` prints it."""
    from jointseg_jax.commands import jointseg
    from jointseg_jax.commands.table import COMMANDS

    lines = ["# Commands", "", *_block(jointseg.listing())]
    for name in COMMANDS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            jointseg.main([name, "--help"])
        lines += ["", f"## jointseg {name}", "", *_block(printed.getvalue().strip("\n"))]
    return "\n".join(lines)


def _block(text: str) -> list[str]:
    return ["```text", text, "```"]


def config_fields() -> str:
    """Every field of a config: its default and comment in configs/common.py, its bounds in `bounds.config`."""
    from jointseg_jax.bounds.config import FIELDS

    said = dict(_defaults())
    lines = [
        "# Config fields", "", "A config file sets them; `--config.FIELD=VALUE` changes one of them. The comments are "
        "those of `configs/common.py`, which has the defaults. A value that is not allowed is refused at the start. "
        "`*` stands for a name that you choose.", "",
    ]  # fmt: skip
    sections: dict[str, list[str]] = {}
    for field in FIELDS:
        parts = field.split(".")
        section = (
            ".".join(parts[: 2 if field.count(".") > 1 and parts[0] == "dataset" else 1]) if len(parts) > 1 else ""
        )
        default, words = said.get(field, ("", ""))
        row = f"| `{field}` | {_cell(default, code=True)} | {_cell(FIELDS[field].wanted())} | {_cell(words)} |"
        sections.setdefault(section, []).append(row)
    for section, rows in sections.items():
        lines += [
            f"## {_HEADS.get(section, section)}",
            "",
            "| field | default | allowed | what it is |",
            "| --- | --- | --- | --- |",
        ]
        lines += [*rows, ""]
    return "\n".join(lines)


def _cell(text: str, *, code: bool = False) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    if code:
        return f"`{text}`" if text else ""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")


def _defaults() -> Iterator[tuple[str, tuple[str, str]]]:
    """Field, and its default and comment, of the assignments and dicts in configs/common.py."""
    source = (ROOT / "configs" / "common.py").read_text(encoding="utf-8")
    comments = _comments(source)
    for function in ast.parse(source).body:
        if not isinstance(function, ast.FunctionDef) or function.name not in _SECTIONS:
            continue
        prefix = _SECTIONS[function.name]
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("config."):
                field = ast.unparse(node.targets[0]).removeprefix("config.")
                yield prefix + field, (_default(node.value), _comment(node, comments))
            elif isinstance(node, ast.Dict) and function.name == "model":
                for key, value in zip(node.keys, node.values, strict=True):
                    assert isinstance(key, ast.Constant)
                    yield prefix + key.value, (_default(value), _comment(value, comments))


def _default(value: ast.expr) -> str:
    text = ast.unparse(value)
    if text.startswith("placeholder"):
        return "unset"
    return text if not any(isinstance(n, ast.Name) for n in ast.walk(value)) else ""


def _comments(source: str) -> dict[int, tuple[str, bool]]:
    """Line number -> comment, and whether it stands alone on its line."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("# fmt"):
            found[token.start[0]] = (token.string.lstrip("# "), not token.line[: token.start[1]].strip())
    return found


def _comment(node: ast.AST, comments: dict[int, tuple[str, bool]]) -> str:
    """The comment behind a node; and the lines of comment right above it."""
    first, last = node.lineno, node.end_lineno or node.lineno  # type: ignore[attr-defined]
    above = []
    line = first - 1
    while line in comments and comments[line][1]:
        above.insert(0, comments[line][0])
        line -= 1
    behind = [comments[n][0] for n in range(first, last + 1) if n in comments]
    return " ".join([*above, *behind])


def formats() -> str:
    """The kinds of records with their versions, and where the files are described."""
    from jointseg_jax.storage import formats as stored

    kinds = [kind for kind in vars(stored).values() if isinstance(kind, stored.Format)]
    lines = [
        "# File formats", "", "Rasters are GeoTIFFs: [those of a map](../mapping.md#one-scene), [those of a "
        "product](../product.md), [those of a dataset](../your-own-data.md). Tables are CSV or Parquet. All other "
        "records are JSON objects with a version and a checksum:", "", "| record | version | if it is damaged |",
        "| --- | --- | --- |",
    ]  # fmt: skip
    lines += [f"| {kind.name} | {kind.version} | {_cell(kind.again)} |" for kind in kinds]
    return "\n".join([*lines, "", *(stored.__doc__ or "").splitlines()])


def statuses() -> str:
    """The exit statuses, from the docstring of the module that gives them."""
    from jointseg_jax import cli

    found = re.findall(r"^(\d+)\s+(.*)$", cli.__doc__ or "", re.M)
    rows = [f"| {status} | {_cell(words.replace('`', ''))} |" for status, words in found]
    return "\n".join(["# Exit statuses", "", "| status | meaning |", "| --- | --- |", *rows])
