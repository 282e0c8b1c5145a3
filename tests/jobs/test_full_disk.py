"""A full disk ends the run, sets no unit aside and loses nothing."""

import subprocess

import harness
import numpy as np
import pytest
from jobs.file_work import UNITS, FileWork, partial_files, run, set_aside

from jointseg_jax.errors import StorageError
from jointseg_jax.jobs.cluster import Dask
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.writer import Layout, cog_writer


@pytest.mark.parametrize(
    "executor",
    [
        pytest.param(Serial(), id="serial", marks=pytest.mark.quick),
        pytest.param(Dask(2), id="dask", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_ends_the_run(tmp_path, executor):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        ledger, work = Ledger(disk / "ledger"), FileWork(disk, size=200_000)
        with pytest.raises(
            StorageError, match=r"disk cannot be written .*No space left.* are done and stay done"
        ) as at:
            run(disk, executor, work=work)
        assert at.value.status == 74
        done = ledger.done()
        assert 1 <= len(done) < 6
        assert all(ledger.find(unit, deep=True) for unit in done)
        assert not set_aside(disk)
        if isinstance(executor, Serial):
            assert f"{len(done)} of 6 units" in str(at.value)
            assert not partial_files(disk)
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert run(disk, executor, work=work).skipped == done
        assert sorted(ledger.done()) == UNITS


@pytest.mark.quick
def test_a_disk_too_full_for_a_row_ends_the_run(tmp_path):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        run(disk, units=["a"])
        harness.fill(disk)
        with pytest.raises(StorageError, match="No space left"):
            run(disk, units=["a", "b"], work=FileWork(disk, size=0))
        assert set(Ledger(disk / "ledger").done()) == {"a"}


@pytest.mark.quick
def test_a_raster_that_does_not_fit_is_no_fault_of_its_unit(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (1000, 1000), np.uint8)
    layout = Layout(make_lattice("EPSG:32650", 0, 0, 1, 1000, 1000), "uint8", ("a",))

    def write_raster(unit):
        path = disk / unit / "map.tif"
        with cog_writer(path, layout, overviews="average") as writer:
            writer.write(values, Window(0, 0, 1000, 1000))
        return ledger.add(unit, {}, {"map": path})

    with harness.small_disk(tmp_path / "disk", 3) as disk:
        ledger = Ledger(disk / "ledger")
        with pytest.raises(StorageError, match=r"disk cannot be written .*map.tif cannot be written"):
            run(disk, units=["a", "b", "c"], work=write_raster)
        assert set(ledger.done()) == {"a"}
        assert ledger.find("a", deep=True)
        assert not partial_files(disk)
