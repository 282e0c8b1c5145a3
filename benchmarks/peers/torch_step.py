"""The training step in PyTorch: joint loss, clipping, Adam, moving average."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.torch_network import JointNetwork
from benchmarks.peers.torch_parameters import load_parameters, to_batch, to_numpy, to_tree
from benchmarks.peers.torch_resampling import CHANNELS_LAST, area_mean

IGNORE = 255
VARIANTS = ("eager", "regions", "whole")
Loss = Callable[[dict[str, Tensor]], Tensor]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    mask = mask.expand_as(x)
    return (x * mask).sum() / mask.sum().clamp(min=1)


def joint_loss(
    logits: Tensor, images: list[Tensor], batch: dict[str, Tensor], std: Tensor, spacings: list[Fraction], loss: Any
) -> Tensor:
    """Cross-entropy, per-sample Dice and the L1 of each stage, weighted by `loss`."""
    label = batch["label"].long()
    known = (label != IGNORE).float()
    total = loss["cross_entropy"] * masked_mean(
        F.cross_entropy(logits, label * (label != IGNORE), reduction="none"), known
    )
    probability = torch.softmax(logits, 1)[:, -1] * known
    positive = (label == logits.shape[1] - 1).float()
    overlap, size = (probability * positive).sum((1, 2)), probability.sum((1, 2)) + positive.sum((1, 2))
    total = total + loss["dice"] * masked_mean(1 - (2 * overlap + 1) / (size + 1), (known.sum((1, 2)) > 0).float())
    valid = batch["image_valid"].float().unsqueeze(1)
    for image, spacing, weight in zip(images, spacings, loss["stages"], strict=True):
        share = area_mean(valid, 1 / spacing)
        target = area_mean(batch["image"] * valid, 1 / spacing) / share.clamp(min=1e-6)
        total = total + loss["sr"] * weight * masked_mean((image - target).abs() / std, (share >= 0.5).float())
    return total


class Trainer:
    """A network in training.

    Attributes:
        variant: "eager"; "regions": torch.compile of each part (one program serves all blocks of a stage); "whole":
            torch.compile of network and loss as one graph.
    """

    def __init__(self, load: Mapping[str, Any], variant: str, device: str, dtype: str):
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is unknown: use one of {', '.join(VARIANTS)}")
        arrays = dict(np.load(load["arrays"]))
        self.device, self.bfloat16 = device, dtype == "bfloat16"
        net = JointNetwork(load["network"])
        load_parameters(net, arrays)
        self.net = net.to(device=device, memory_format=CHANNELS_LAST)
        self.batch = to_batch(arrays, device)
        self.names = dict(self.net.named_parameters())
        self.parameters = list(self.names.values())
        self.ema = [p.detach().clone() for p in self.parameters]
        optimizer = load["optimizer"]
        self.clip, self.ema_limit = optimizer["clip"], optimizer["ema"]
        fused = {"fused": True} if device == "cuda" else {}
        rate = optimizer["learning_rate"]
        self.adam = torch.optim.Adam(self.parameters, lr=rate, betas=tuple(optimizer["betas"]), **fused)
        self.steps = 0
        spacings, weights = self.net.spacings, load["loss"]

        def criterion(logits: Tensor, images: list[Tensor], batch: dict[str, Tensor]) -> Tensor:
            return joint_loss(logits, images, batch, self.net.image_std, spacings, weights)

        # Beyond its limit of recompilations, torch.compile would silently run uncompiled.
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        if variant == "regions":
            self.net.compile_parts()
            criterion = torch.compile(criterion, dynamic=False)

        def loss(batch: dict[str, Tensor]) -> Tensor:
            with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16):
                logits, images = self.net(batch)
            return criterion(logits, images, batch)

        self.loss: Loss = torch.compile(loss, dynamic=False) if variant == "whole" else loss

    def gradients(self) -> dict[str, Any]:
        """Loss, outputs and the loss's gradients, in the names and layouts of the JAX tree."""
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.batch)
        loss.backward()
        found = to_tree({name: p.grad.float() for name, p in self.names.items() if p.grad is not None})
        missing = [name for name, p in self.names.items() if p.grad is None]
        if missing:
            raise RuntimeError(f"the loss has no gradient for {', '.join(missing)}")
        self.adam.zero_grad(set_to_none=True)
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            logits, images = self.net(self.batch)
        outputs = {"logits": logits} | {f"image{k}": image for k, image in enumerate(images, start=1)}
        return (
            {"loss": np.float32(loss.item())}
            | {f"outputs/{k}": to_numpy(v.permute(0, 2, 3, 1)) for k, v in outputs.items()}
            | {f"gradients/{k}": v for k, v in found.items()}
        )

    def step(self) -> Tensor:
        """One update; returns the loss, not waited for."""
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.batch)
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.adam.step()
        decay = min(self.ema_limit, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.parameters, 1 - decay)
        self.steps += 1
        return loss.detach()

    def synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
