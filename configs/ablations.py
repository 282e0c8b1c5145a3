"""The rows of the study: what each changes in a config that knows `stages` and `control`.

    jointseg study dubai runs/study --names=bilinear,joint --seeds=0,1

trains, evaluates and reports them. The controls separate the effects of learned super-resolution (joint) from
deblurring alone (deconvolved), capacity alone (capacity), one stage and several, features and image (no-fusion,
sequential); fine (the true 1 m image) and coarse (10 m) bound what is possible.

The rows esrgan-frozen and esrgan-tuned begin with published weights and need `--weights=FILE`, RealESRGAN_x4plus.pth or
an .npz of the same names.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the study.

    Attributes:
        argument: of the config.
        fields: overrides, without `--config.`; `{half}` stands for half of the steps, `{weights}` for a file of
            published weights that the user names.
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

    @property
    def needs_weights(self) -> bool:
        """Whether it begins with published weights."""
        return any("{weights}" in field for field in self.fields)

    def overrides(self, steps: int, weights: str | None) -> tuple[str, ...]:
        """The fields for a run of so many steps."""
        return tuple(
            field.replace("{half}", str(steps // 2)).replace("{weights}", str(weights)) for field in self.fields
        )


# Stage 1 as large as ESRGAN's, with and without its weights, so that the effects of size and of weights are apart.
# The last convolution of a frozen stage is trained: the published one predicts the image, not what is missing in it.
_ESRGAN = (
    "model.blocks=(23,2)",
    "model.features=(64,32)",
    "model.growth=(32,16)",
    "model.tail_features=(64,8)",
    "model.subpixel=False",
)
_FROZEN = "optimizer.frozen=('^sr/stage1/(?!conv_last)',)"
# Real-ESRGAN's weights; a small discriminator and its rate as on the demo [ours].
_ADVERSARIAL = (
    "loss.sr=1.0",
    "adversarial.weight=0.1",
    "adversarial.feature_matching=1.0",
    "adversarial.start={half}",
    "adversarial.ramp=100",
    "adversarial.features=16",
    "adversarial.crop=128",
    "adversarial.learning_rate=1e-3",
)

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
    "sr-1": Row("control=joint", ("loss.sr=1.0",)),
    "sr-10": Row("control=joint", ("loss.sr=10.0",)),
    "class-balance": Row("control=joint", ("loss.class_balance=0.5",)),
    "boundary": Row("control=joint", ("loss.boundary=1.0",)),
    "shift": Row("control=joint", ("loss.shift=2.0",)),
    "adversarial": Row("control=joint", _ADVERSARIAL),
    "esrgan-fresh": Row("control=joint", _ESRGAN),
    "esrgan-frozen": Row("control=joint", (*_ESRGAN, _FROZEN, "init_from={weights}")),
    "esrgan-tuned": Row("control=joint", (*_ESRGAN, "init_from={weights}")),
}
