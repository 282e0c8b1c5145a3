"""A dataset whose labels know the same ground in four years, and decoded states of that ground."""

import dataclasses
import pathlib
import shutil
import sys

import pytest

HERE = pathlib.Path(__file__).parent
for folder in (pathlib.Path(__file__).parents[2] / "mapping", HERE.parent / "accuracy", HERE):
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def dated(data, tmp_path_factory):
    """The toy dataset with each test site in four years; returns it and the true states by site of the first year."""
    from dated_ground import LABELS, true_states, write_labels

    from jointseg_jax.data.dataset import load
    from jointseg_jax.storage import formats, typed

    root = tmp_path_factory.mktemp("dated") / "dataset"
    shutil.copytree(data.root, root)
    record = formats.read_record(root / "dataset.json", formats.DATASET)
    site = next(iter(data.sites_of("test")))
    states = true_states(10 * site.height, 10 * site.width)
    copies = []
    for number, label in enumerate(LABELS):
        folder = f"sites/{site.name}-{label}"
        shutil.copytree(root / site.folder, root / folder)
        write_labels(root / folder / pathlib.Path(site.label).name, states[number])
        copies.append(dataclasses.replace(site.at(folder), name=f"{site.name}-{label}", date=label, files={}))
    others = [s for s in record["sites"] if s["name"] != site.name]
    record["sites"] = [*others, *(typed.plain(c) for c in copies)]
    formats.write_record(
        root / "dataset.json", {k: v for k, v in record.items() if k != "schema_version"}, formats.DATASET
    )
    return load(root), site, states
