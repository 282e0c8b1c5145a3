"""The table of commands: a line here is all that `jointseg` needs to know of a command."""

from typing import NamedTuple


class Command(NamedTuple):
    """A command.

    Attributes:
        module: of its function `main(arguments) -> exit status`.
        words: what it does, in a line.
        before: arguments that it gets before those of the user.
    """

    module: str
    words: str
    before: tuple[str, ...] = ()


_HERE = "jointseg_jax.commands"

COMMANDS = {
    "prepare": Command(f"{_HERE}.prepare", "raw rasters -> a dataset, and the report on it"),
    "report": Command(f"{_HERE}.prepare", "report on a dataset that was prepared before", ("--report",)),
    "plan": Command(f"{_HERE}.train", "cost of a training step, and the largest batch that fits", ("--plan",)),
    "train": Command(f"{_HERE}.train", "dataset -> a trained network; the same command resumes"),
    "evaluate": Command(f"{_HERE}.evaluate", "scores of the maps of whole test sites"),
    "predict": Command(f"{_HERE}.predict", "scenes -> the map of a scene, or of an area wall to wall"),
    "monitor": Command(f"{_HERE}.monitor", "maps of several years -> what was built when"),
    "view": Command(f"{_HERE}.view", "mapped area -> a page to look at"),
    "zonal": Command(f"{_HERE}.zonal", "mapped area and polygons -> shares by polygon"),
    "fractions": Command(f"{_HERE}.fractions", "10 m fractions -> fractions of larger cells, with intervals"),
    "export": Command(f"{_HERE}.export", "trained network -> files that run with jax alone"),
    "sample": Command(f"{_HERE}.sample", "mapped area -> a probability sample, and the page to label it"),
    "estimate": Command(f"{_HERE}.estimate", "labelled sample -> accuracy and area, with intervals"),
    "answers": Command(f"{_HERE}.answers", "answers to a sample of change, from a dataset that knows the ground"),
    "growth": Command(f"{_HERE}.growth", "decoded change -> report of growth, scores, a page to look at"),
    "compare": Command(f"{_HERE}.compare", "evaluated runs, side by side"),
    "compare-products": Command(f"{_HERE}.compare_products", "a map beside WorldCover, GHSL, GISA and others"),
    "study": Command(f"{_HERE}.study", "train and evaluate the rows of a study over folds and seeds"),
    "sites": Command(f"{_HERE}.sites", "area of interest -> training sites, drawn at random"),
    "outlines": Command(f"{_HERE}.outlines", "dataset -> the ground of its sites, as polygons"),
    "dubai": Command(f"{_HERE}.dubai", "the published scenes of Dubai -> the scenes of the config dubai"),
    "derive": Command(f"{_HERE}.derive", "linear power -> dB; elevation -> slope and aspect"),
    "archive": Command(f"{_HERE}.archive", "a small archive of made-up ground, to try things with"),
    "reproduce": Command(f"{_HERE}.reproduce", "run again a training step that was not finite"),
}
