"""A window of a map in PyTorch: probability and images, as the predictor's `predict_tiles` gives them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch._inductor.config
from torch import Tensor

from benchmarks.peers.torch_network import JointNetwork
from benchmarks.peers.torch_parameters import load_parameters, to_batch, to_numpy
from benchmarks.peers.torch_resampling import CHANNELS_LAST

VARIANTS = ("eager", "regions", "whole", "frozen")


class Mapper:
    """A network that maps one window.

    Attributes:
        variant: "eager"; "regions": torch.compile of each part; "whole": torch.compile of the network as one graph;
            "frozen": the same with its weights as constants, which the compiler lays out for its kernels.
    """

    def __init__(self, load: Mapping[str, Any], variant: str, device: str, dtype: str):
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is unknown: use one of {', '.join(VARIANTS)}")
        arrays = dict(np.load(load["arrays"]))
        self.device, self.bfloat16 = device, dtype == "bfloat16"
        self.temperature, self.halo = load["window"]["temperature"], load["window"]["halo"]
        net = JointNetwork(load["network"])
        load_parameters(net, arrays)
        self.net = net.to(device=device, memory_format=CHANNELS_LAST).eval().requires_grad_(False)
        self.batch, self.steps = to_batch(arrays, device), 0
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        torch._inductor.config.freezing = variant == "frozen"
        if variant == "regions":
            self.net.compile_parts()
        self.run = torch.compile(self._run, dynamic=False) if variant in ("whole", "frozen") else self._run

    def _run(self, batch: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Probability [b, h, w] of the last class, and images [b, 3, h, w], without the halo."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            logits, images = self.net(batch)
        probability = torch.sigmoid((logits[:, 1] - logits[:, 0]) / self.temperature)
        cropped = [crop(i, int(self.halo * 10 / s)) for i, s in zip(images, self.net.spacings, strict=True)]
        return crop(probability, self.halo * 10), cropped

    @torch.inference_mode()
    def step(self) -> Tensor:
        """Maps the window; returns its probability, computed."""
        probability, _ = self.run(self.batch)
        self.synchronise()
        self.steps += 1
        return probability

    @torch.inference_mode()
    def outputs(self) -> dict[str, np.ndarray]:
        """Probability and images of the window, channels last."""
        probability, images = self.run(self.batch)
        return {"outputs/probability": to_numpy(probability)} | {
            f"outputs/image{k}": to_numpy(i.permute(0, 2, 3, 1)) for k, i in enumerate(images, start=1)
        }

    def synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def crop(x: Tensor, pixels: int) -> Tensor:
    """Without so many pixels on each side of the last two axes."""
    return x[..., pixels : x.shape[-2] - pixels, pixels : x.shape[-1] - pixels]
