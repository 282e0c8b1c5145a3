"""Shards divide the units of a product; two runs never do the same units."""

import os

import pytest
from jobs.file_work import UNITS, FileWork, assert_whole, names, noted, run
from jobs.processes import end, start, wait_until

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.executors import Serial, parse_shard
from jointseg_jax.storage import files


@pytest.mark.quick
def test_shards_divide_the_units_between_them(product):
    units = names(11)
    for i in (2, 0, 1):
        outcome = run(product, Serial(shard=(i, 3)), units)
        assert sorted(outcome.done) == units[i::3]
    assert_whole(product, units)
    assert sorted(noted(product, "begun")) == units
    # The order in which units are given does not matter.
    assert sorted(run(product, Serial(shard=(0, 3)), units[::-1]).skipped) == units[0::3]


@pytest.mark.quick
def test_another_number_of_shards_or_other_units_are_refused_but_a_run_without_shards_is_not(product, ledger):
    run(product, Serial(shard=(1, 3)))
    with pytest.raises(InputError, match=r"plan.json says that this product is made in 3 shards, not 4: run it in 3"):
        run(product, Serial(shard=(1, 4)))
    with pytest.raises(InputError, match=r"plan.json says that the shards of this product divide other units"):
        run(product, Serial(shard=(0, 3)), UNITS[:-1])
    assert sorted(ledger.done()) == UNITS[1::3]
    run(product)
    assert_whole(product)
    (ledger.folder / "shards" / "plan.json").write_text("torn{")
    run(product, Serial(shard=(1, 4)))
    assert files.read_json(ledger.folder / "shards" / "plan.json")["shards"] == 4


@pytest.mark.quick
@pytest.mark.parametrize(
    ("shard", "allowed", "refused"),
    [((0, 1), [], [(0, 1), (0, 2)]), ((0, 2), [(1, 2)], [(0, 1), (0, 2)])],
    ids=["whole", "shard"],
)
def test_a_product_in_use_is_refused_unless_for_another_shard(product, shard, allowed, refused):
    work, tried = FileWork(product), []

    def try_others(unit):
        for other in allowed:
            run(product, Serial(other))
        for other in refused:
            with pytest.raises(InputError, match=f"in use by another run .process {os.getpid()} on "):
                run(product, Serial(other))
        tried.append(unit)
        return work(unit)

    run(product, Serial(shard), work=try_others)
    assert tried


@pytest.mark.slow
def test_a_product_in_use_by_a_cluster_is_refused(product):
    process = start(product, "--workers=1", "--seconds=0.5", "--units=300")
    wait_until(lambda: noted(product, "begun"), process)
    for arguments in (["--workers=1"], [], ["--shard=0/2"]):
        status, _, err = end(start(product, *arguments))
        assert status == 2
        assert f"in use by another run (process {process.pid} on " in err
    process.kill()
    process.communicate()


@pytest.mark.quick
@pytest.mark.parametrize("text", ["", "1", "1/2/3", "a/b", "-1/2", "2/2", "0/0", "1.0/2", "3/2"])
def test_shards_that_do_not_exist_are_refused(text):
    with pytest.raises(InputError, match="shard"):
        Serial(parse_shard(text))
    assert parse_shard("3/16") == (3, 16)
