"""The peer of `benchmarks.convolutions`: prints per shape the GFLOP/s of forward, input's and weights' gradient."""

import torch
import torch.nn.functional as F

from benchmarks.convolutions import SHAPES, rate


def rates(images: int, side: int, inputs: int, outputs: int) -> list[float]:
    def image(channels: int) -> torch.Tensor:
        return torch.randn(images, channels, side, side).to(memory_format=torch.channels_last)

    x, g = image(inputs).requires_grad_(), image(outputs)
    kernel = torch.randn(outputs, inputs, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    y = F.conv2d(x, kernel, padding=1)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return F.conv2d(x, kernel, padding=1)

    works = [forward, *(lambda v=v: torch.autograd.grad(y, v, g, retain_graph=True) for v in (x, kernel))]
    return [rate(work, images, side, inputs, outputs) for work in works]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for shape in SHAPES:
        print(*rates(*shape))
