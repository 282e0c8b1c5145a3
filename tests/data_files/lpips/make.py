"""Writes lpips.json with the package lpips 0.1.4 (and PyTorch), in float64; `lpips_weights` draws weights and images.

Only the figures are stored, so the tests need neither package: python tests/data_files/lpips/make.py
"""

import json
import pathlib
import re
import sys

import lpips
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
import lpips_weights

CASES = (("alex", 0, 3, 64, 64), ("alex", 1, 2, 71, 95), ("vgg", 2, 2, 64, 64), ("vgg", 3, 1, 51, 38))


def distances(name, seed, number, height, width):
    network = lpips.LPIPS(net=name, pretrained=False, pnet_rand=True, verbose=False)
    drawn = {**lpips_weights.backbone(name, seed), **lpips_weights.linear(name, seed)}
    state = network.state_dict()
    for entry in state:
        known = re.sub(r"^net\.slice\d\.", "features.", re.sub(r"^lins\.(\d)", r"lin\1", entry))
        if not known.startswith("scaling_layer"):
            state[entry] = torch.from_numpy(drawn[known])
    network.load_state_dict(state)
    pair = torch.from_numpy(lpips_weights.images(seed, number, height, width)).double().permute(0, 1, 4, 2, 3)
    with torch.no_grad():
        return [float(f"{x:.10g}") for x in network.double()(*pair).ravel().tolist()]


def main():
    rows = [json.dumps([*case, distances(*case)]) for case in CASES]
    text = "[\n" + ",\n".join(rows) + "\n]\n"
    pathlib.Path(__file__).with_name("lpips.json").write_text(text)


main()
