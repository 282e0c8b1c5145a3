"""Maps of four years that no network made: tiles, ledgers and plans as predict.py leaves them."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(scope="session")
def states():
    """What was built when."""
    import year_products

    return year_products.truth()


@pytest.fixture(scope="session")
def years(states, tmp_path_factory):
    """The maps of four years, 2021 shifted by three metres down and four left; copy them before changing them."""
    import year_products

    return year_products.write_years(tmp_path_factory.mktemp("years"), states, {"2021": (3, -4)})


@pytest.fixture(scope="session")
def monitor(years, tmp_path_factory):
    """The years decoded, and the lines that were said; copy the folder before changing it."""
    import year_products

    from jointseg_jax.change.run_monitor import run_monitor
    from jointseg_jax.jobs.executors import Serial

    folder, lines = tmp_path_factory.mktemp("monitor") / "out", []
    run_monitor(years, folder, year_products.SETTINGS, Serial(), say=lines.append)
    return folder, lines
