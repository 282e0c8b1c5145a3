"""Prints several evaluated runs side by side: jointseg compare runs/a runs/b [--split=test] [--markdown]."""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    parser = cli.Arguments(prog="jointseg compare", description="Compares several evaluated runs.")
    parser.add_argument("workdirs", nargs="+", type=pathlib.Path, help="folders of the runs")
    parser.add_argument("--split", default="test", help="split that they were evaluated on")
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")

    def work() -> None:
        from jointseg_jax.evaluation.compare import markdown, plain, rows

        given = parser.parse_args(arguments)
        table = rows(given.workdirs, given.split)
        print(markdown(table) if given.markdown else plain(table))
        print("MFLOP/px: of a forward pass, per 10 m input pixel. PSNR: of the 1 m image, that of bicubic in brackets.")

    return cli.status_of(work)
