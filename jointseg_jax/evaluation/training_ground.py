"""Draws places of a dataset's training ground, which the area of applicability is measured from."""

import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.applicability import Applicability, features
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window

_PLACES = 2000  # on all sites
_STRIP = 64  # rows at a time
_BLOCK = 50  # input pixels: the groups of a single site are blocks of 500 m


def applicability(data: Dataset, contract: Contract, dates: int | None = None) -> Applicability:
    """Measures the training ground of a dataset; the same places in every run.

    Args:
        data: the dataset that the network was trained on.
        contract: of the network.
        dates: use only the first dates of each site; None for all.

    Raises:
        InputError: there is no training ground, or all of it lies within one site and one block.
    """
    sites = [site for site in data.sites.values() if site.pixels.get("train")]
    total = sum(site.pixels["train"] for site in sites)
    rng = np.random.default_rng(0)
    vectors, groups = [], []
    for number, site in enumerate(sites):
        count = -(-_PLACES * site.pixels["train"] // total)
        found, at = _drawn(data, site, contract, dates, count, rng)
        if not len(at):
            continue
        vectors.append(found)
        blocks = at // _BLOCK
        groups.append(np.full(len(at), number) if len(sites) > 1 else blocks[:, 0] * site.width + blocks[:, 1])
    if not groups or len(np.unique(np.concatenate(groups))) < 2:
        raise InputError(
            f"{data.root} has training ground on fewer than two sites or blocks of 500 m, too little for an area of "
            "applicability: prepare a dataset with more training ground, and train on it"
        )
    return Applicability.of(np.concatenate(vectors), np.concatenate(groups))


def _drawn(
    data: Dataset, site: Site, contract: Contract, dates: int | None, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Features of at most `count` places of a site, [places, features], and their rows and columns, int64 [places, 2].

    Places without valid input in the first modality are left out.
    """
    scene = data.scene(site.name, contract).first_dates(dates)
    handles = Handles()
    try:
        split, _ = read_window(handles.get(str(data.root / site.split)), Window(0, 0, *scene.shape))
        places = np.argwhere(split[..., 0] == CODES["train"])
        places = places[np.sort(rng.choice(len(places), min(count, len(places)), replace=False))]
        found, kept = [], []
        for row in np.unique(places[:, 0] // _STRIP) * _STRIP:
            own = places[(places[:, 0] >= row) & (places[:, 0] < row + _STRIP)]
            strip = Window(int(row), 0, _STRIP, scene.shape[1])
            valid = np.any(scene.read_modality(contract.primary, strip, handles)["valid"], axis=0)
            own = own[valid[own[:, 0] - row, own[:, 1]]]
            found.append(features(scene, strip, handles)[own[:, 0] - row, own[:, 1]])
            kept.append(own)
        return np.concatenate(found), np.concatenate(kept)
    finally:
        handles.close()
