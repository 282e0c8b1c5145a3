"""Reports decoded growth: jointseg growth --monitor=DIR --output=DIR [--regions=FILE --name=COLUMN].

OUTPUT/report.html            growth by region, charts, maps; one page with everything inside
      /growth.json            its table
      /metrics.json           with --dataset: F1 of change, period of the gain, areas mapped and true, flicker, beside
                              naive differencing and a majority filter
MONITOR/viewer/index.html     with --view: a slider over the dates, the year of change, the table of regions
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds


def _parser() -> cli.Arguments:
    parser = cli.Arguments(prog="jointseg growth", description=__doc__)
    parser.add_argument("--monitor", type=pathlib.Path, required=True, help="output of `jointseg monitor`")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the report")
    parser.add_argument("--regions", type=pathlib.Path, help="vector file of polygons")
    parser.add_argument("--name", help="column with the polygons' names")
    parser.add_argument(
        "--estimates", type=pathlib.Path, help="JSON of `jointseg estimate`, of a sample with --change: intervals"
    )
    parser.add_argument("--dataset", type=pathlib.Path, help="prepared dataset with labels of all years: scores")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="of the dataset")
    parser.add_argument("--view", action="store_true", help="also build the page to look at")
    parser.add_argument("--max-zoom", type=cli.number(bounds.ZOOM), help="last zoom level of --view; 17 shows 1 m")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the report and prints the written files; returns the exit status."""
    parser = _parser()

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.evaluation.change import judge, page, report
        from jointseg_jax.storage.files import write_json
        from jointseg_jax.storage.folders import claim

        inputs = [p for p in (given.monitor, given.regions, given.dataset, given.estimates) if p is not None]
        names = [*report.FILES, *([judge.METRICS] if given.dataset else [])]
        with claim(given.output, "report of growth", names=names, inputs=inputs, beside=names, others="refuse"):
            metrics = None
            if given.dataset is not None:
                metrics = judge.judge(given.monitor, given.dataset, given.split)
                write_json(given.output / judge.METRICS, metrics)
                print(judge.table(metrics))
            report.write_report(
                given.output, given.monitor, regions=given.regions, name=given.name, estimates=given.estimates,
                metrics=metrics,
            )  # fmt: skip
        print(f"report  {given.output / report.PAGE}")
        if given.view:
            page.build(given.monitor, regions=given.regions, name=given.name, deepest=given.max_zoom)

    return cli.status_of(work)
