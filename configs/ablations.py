"""The rows of the study: what each changes in a config that knows `stages` and `control`.

    python -m jointseg_jax.evaluation.ablation configs/dubai.py runs/study --names=bilinear,joint --seeds=0,1

trains, evaluates and reports them. The controls separate the effects of learned super-resolution (joint) from
deblurring alone (deconvolved), capacity alone (capacity), one stage and several, features and image (no-fusion,
sequential); fine (the true 1 m image) and coarse (10 m) bound what is possible.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the study.

    Attributes:
        argument: of the config.
        fields: overrides, without `--config.`.
        dates: acquisitions that the network trains on.
        judged: numbers of dates of further evaluations; each becomes a row such as "dates-4 on 1".
    """

    argument: str = ""
    fields: tuple[str, ...] = ()
    dates: int = 1
    judged: tuple[int, ...] = ()

    @property
    def arguments(self) -> str:
        """The whole argument of the config."""
        return ",".join(filter(None, (self.argument, f"dates={self.dates}" if self.dates > 1 else "")))


ROWS = {
    "bilinear": Row("control=bilinear"),
    "deconvolved": Row("control=deconvolved"),
    "capacity": Row("control=capacity"),
    "sequential": Row("control=sequential"),
    "joint": Row("control=joint"),
    "joint-consistent": Row("control=joint", ("model.consistent=True",)),
    "joint-bicubic-base": Row("control=joint", ("model.back_projections=0",)),
    "dates-4": Row("control=joint", dates=4, judged=(1, 8)),
    "dates-8": Row("control=joint", dates=8, judged=(1, 4)),
    "coarse": Row("control=coarse"),
    "fine": Row("control=fine"),
    "stages-10": Row("stages=10"),
    "stages-2x5": Row("stages=2x5"),
    "stages-5x2": Row("stages=5x2"),
    "stages-2x2x2.5": Row("stages=2x2x2.5"),
    "no-attention": Row("control=joint", ("model.attention=False",)),
    "no-fusion": Row("control=joint", ("model.fusion=False",)),
    "short-context": Row("control=joint", ("model.dilations=(1,1,1,1,1)",)),
    "sr-0.1": Row("control=joint", ("loss.sr=0.1",)),
    "sr-0.3": Row("control=joint", ("loss.sr=0.3",)),
    "sr-3": Row("control=joint", ("loss.sr=3.0",)),
    "class-balance": Row("control=joint", ("loss.class_balance=0.5",)),
    "boundary": Row("control=joint", ("loss.boundary=1.0",)),
    "shift": Row("control=joint", ("loss.shift=2.0",)),
}
