"""Measures the context that a tile needs: on the trained weights, to a stated tolerance on the probability.

The theoretical reach of a deep trunk is hundreds of pixels, the effective reach some tens. Too small a halo causes
seams, so it is measured on crops of a real scene and stored beside the checkpoint.
"""

import bisect
import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tqdm

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.weights import weights_digest
from jointseg_jax.models.attention import ChannelAttention, SpatialAttention
from jointseg_jax.models.jointseg import JointSeg
from jointseg_jax.models.rrdb import DENSE_BLOCKS, DENSE_CONVS
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.trained import Trained

TOLERANCE = 0.0025  # half a step of the probability product
_CANDIDATES = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
_REFERENCES = (48, 96, 192)  # coarse pixels that serve as full context, unless the theoretical reach is smaller
_CORE = 16  # coarse pixels whose probability is compared
_CROPS = 8
_CONTRAST = 0.2  # training standard deviations by which a crop must vary: flat ground would hide an influence
_IN_HAND = 4.0  # safety factor: crops sample the ground, so their change must be this much below the tolerance


@dataclasses.dataclass(frozen=True)
class HaloKey:
    """The weights and the tolerance that a measurement holds for."""

    step: int
    weights: str
    sha256: str
    tolerance: float


@dataclasses.dataclass(frozen=True)
class HaloMeasurement:
    """A halo, and the largest change of the probability that it and each smaller candidate leave.

    `reference` is the context used as full context; `met` says whether the halo meets the tolerance.
    """

    halo: int
    errors: dict[str, float]
    reference: int
    met: bool


@dataclasses.dataclass(frozen=True)
class HaloRecord(HaloMeasurement, HaloKey):
    """The record of a measurement: also the scene, the number of its crops, and the theoretical reach."""

    scene: str
    crops: int
    theory: int


# Measurements that could not be written to disk, by file, weights digest and tolerance.
_unwritten: dict[tuple[pathlib.Path, HaloKey], HaloRecord] = {}


def theoretical_reach(model: JointSeg) -> int:
    """An upper bound, from the layers' sizes, of the coarse pixels within which input can change an output pixel."""
    sharpening = 30.0 * model.back_projections if model.sensor is not None else 0.0  # three coarse pixels each
    metres = sharpening + 20.0 * (model.dates > 1)  # two convolutions over dates
    if model.has_sr:
        metres += (sharpening + 50.0) * model.consistent  # the observation, then the bicubic correction
        before = 10.0
        for stage in model.stages:
            trunk = before * stage.unshuffle
            convs = 2 + stage.blocks * DENSE_BLOCKS * DENSE_CONVS
            metres += 2 * 10.0 + trunk * (convs + 1)  # bicubic of the input, then conv_first, blocks, conv_body
            before = before / float(stage.factor)
            metres += 4 * trunk  # the tail's convolutions follow each other on lattices at most half as coarse
    else:
        metres += 10.0
    for spacing in model.lattices[1:]:
        dilations = model.dilations if spacing == model.lattices[-1] else (1,) * model.segmenter_blocks
        metres += float(spacing) * (4 + sum(d + 1 for d in dilations) + SpatialAttention.size // 2)
        metres += 10.0 * ((3**ChannelAttention.levels) // 2 + 2)  # the attention windows lie at 10 m
    metres += float(model.lattices[1]) + 1.0  # the exit
    return math.ceil(metres / 10.0) + 1


def kept_at(trained: Trained) -> pathlib.Path:
    """The file with the halo of these weights; each checkpoint of a run has its own."""
    return trained.workdir / f"halo_{trained.step}_{trained.weights}.json"


def kept(trained: Trained, tolerance: float = TOLERANCE) -> HaloRecord | None:
    """The measurement for these weights and this tolerance; None without a usable one."""
    return _find(trained, tolerance)[0]


def _find(trained: Trained, tolerance: float) -> tuple[HaloRecord | None, str]:
    """The measurement, and why the file on disk is rejected; that is empty if it is accepted or missing."""
    path, key = kept_at(trained), _key(trained, tolerance)
    if (path, key) in _unwritten:
        return _unwritten[path, key], ""
    try:
        known = typed.read(path, HaloRecord, formats.HALO)
    except FileNotFoundError:
        return None, ""
    except (formats.Damaged, formats.Newer):
        return None, "is damaged, or of a newer version"
    if any(getattr(known, k) != v for k, v in vars(key).items()):
        return None, "belongs to other weights"
    return (known, "") if _plausible(known, trained, tolerance) else (None, "contains an impossible halo")


def _plausible(known: HaloRecord, trained: Trained, tolerance: float) -> bool:
    """Whether a record is consistent: the halo lies within the network's reach, and its errors support it."""
    theory = theoretical_reach(trained.model)
    if not min(_CANDIDATES[0], theory) <= known.halo <= theory:
        return False
    error = known.errors.get(str(known.halo), math.inf)
    return not known.met or known.halo == theory or error <= tolerance / _IN_HAND


def _key(trained: Trained, tolerance: float) -> HaloKey:
    # Retraining in the same folder reaches the same steps; the digest tells the weights apart.
    return HaloKey(trained.step, trained.weights, weights_digest(trained.params), tolerance)


def halo_for(trained: Trained, scene: Scene, tolerance: float = TOLERANCE, say: Callable[[str], None] = print) -> int:
    """The halo stored beside the checkpoint; if there is none, measures it on `scene` and stores it.

    A scene too small or too flat to measure on gets a generous halo, which is not stored.

    Args:
        trained: the network.
        scene: any scene of the kind to be mapped.
        tolerance: on the probability.
        say: receives a line if the stored halo is unusable, if the new one cannot be written, or if the largest
            halo tried misses the tolerance.

    Returns:
        Coarse pixels.
    """
    path = kept_at(trained)
    known, why = _find(trained, tolerance)
    if why:
        say(f"halo    {path} {why}: the halo is measured again")
    if known is None:
        with _bar(trained) as advance:
            measured = measure(trained, scene, tolerance, advance)
        if measured is None:
            return min(theoretical_reach(trained.model), _REFERENCES[0])
        theory = theoretical_reach(trained.model)
        key = _key(trained, tolerance)
        known = HaloRecord(**vars(key), **vars(measured), scene=scene.name, crops=_CROPS, theory=theory)
        _keep(path, key, known, say)
    if not known.met:
        say(
            f"warning: with a halo of {known.halo} input pixels, the largest tried, probabilities near the edges of "
            f"tiles may still differ by more than {tolerance:g} ({path})"
        )
    return known.halo


@contextlib.contextmanager
def _bar(trained: Trained) -> Iterator[Callable[[], None]]:
    """A bar of the halos tried, because each compiles a program; often one reference is enough, and fewer are."""
    theory = theoretical_reach(trained.model)
    references = sorted({min(theory, r) for r in _REFERENCES})
    most = sum(1 + sum(c < r for c in _CANDIDATES).bit_length() for r in references)
    words = "halo    measured once for these weights"
    with tqdm.tqdm(desc=words, total=most, unit="try", leave=False, mininterval=0.5) as bar:

        def advance() -> None:
            bar.update()

        yield advance


def _keep(path: pathlib.Path, key: HaloKey, known: HaloRecord, say: Callable[[str], None]) -> None:
    """Stores a halo on disk, or in this process only if the work directory is not writable."""
    try:
        formats.write_record(path, typed.plain(known), formats.HALO)
    except OSError as error:
        say(f"halo    {known.halo} input pixels, not stored: {path} cannot be written ({error.strerror})")
        _unwritten[path, key] = known


def measure(
    trained: Trained, scene: Scene, tolerance: float, advance: Callable[[], None] = lambda: None
) -> HaloMeasurement | None:
    """Finds the smallest candidate that changes the crops' probabilities little from those under full context.

    The reference counts as full if half of it suffices, or if it is the theoretical reach; otherwise it is doubled.
    None if the scene has too few crops. Calls `advance` after every halo tried.
    """
    theory = theoretical_reach(trained.model)
    windows = crops(scene)
    if len(windows) < _CROPS:
        return None
    errors: dict[str, float] = {}
    for reference in (min(theory, r) for r in _REFERENCES):
        halo, errors = _smallest(trained, scene, windows, reference, tolerance, advance)
        if halo is not None and (2 * halo <= reference or reference == theory):
            return HaloMeasurement(halo, errors, reference, met=True)
        if reference == theory:
            return HaloMeasurement(theory, errors, theory, met=True)
    return HaloMeasurement(_REFERENCES[-1], errors, _REFERENCES[-1], met=False)


def _smallest(
    trained: Trained,
    scene: Scene,
    windows: Sequence[Window],
    reference: int,
    tolerance: float,
    advance: Callable[[], None],
) -> tuple[int | None, dict[str, float]]:
    """The smallest candidate below the reference that meets the tolerance, or None; and the changes measured."""
    full = probabilities(trained, scene, windows, reference)
    advance()
    errors = {}

    def fits(halo: int) -> bool:
        errors[halo] = float(np.abs(probabilities(trained, scene, windows, halo) - full).max())
        advance()
        return errors[halo] <= tolerance / _IN_HAND

    # Each size tried is compiled, so it is searched by halves: the change falls as the halo grows.
    candidates = [c for c in _CANDIDATES if c < reference]
    place = bisect.bisect_left(candidates, True, key=fits)
    found = candidates[place] if place < len(candidates) else None
    return found, {str(halo): errors[halo] for halo in sorted(errors)}


def crops(scene: Scene) -> list[Window]:
    """The cores with the most contrast, sampled over the whole scene.

    Fewer than `_CROPS` if too few have enough contrast.
    """
    handles = Handles()
    height, width = scene.shape
    primary = scene.contract.primary
    _, std = primary.normalisation()
    found = []
    for row in range(0, height - _CORE + 1, max(_CORE // 2, (height - _CORE) // 8)):
        for col in range(0, width - _CORE + 1, max(_CORE // 2, (width - _CORE) // 8)):
            window = Window(row, col, _CORE, _CORE)
            read = scene.read(window, handles)[primary.name]
            values = read["values"][read["valid"]]
            contrast = float((values.std(0) / std).mean()) if len(values) else 0.0
            if contrast >= _CONTRAST:
                found.append((contrast, window))
    handles.close()
    found.sort(key=lambda item: item[0], reverse=True)
    return [window for _, window in found[:_CROPS]]


def probabilities(
    trained: Trained, scene: Scene, windows: Sequence[Window], halo: int, dtype: str = "float32"
) -> np.ndarray:
    """Probabilities of the cores that `crops` chose: [crops, fine, fine]."""
    # By default in float32, because bfloat16 rounding depends on the window, which looks like reach.
    # Contexts may be large, so the batch is 1.
    predictor = Predictor(trained, halo, tile=_CORE, batch=1, images=False, dtype=dtype, precision="highest")
    return np.stack([tile.probability for tile in predictor.run_windows(scene, windows)])
