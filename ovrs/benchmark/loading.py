"""What loading published encoders takes, from files of their layout with random values: seconds and memory."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ovrs.modeling.checkpoints import load_vision_language
from ovrs.modeling.encoders.guidance import build_guidance
from ovrs.modeling.encoders.open_clip_models import build_open_clip
from ovrs.modeling.fitting import parameters_on_meta
from ovrs.modeling.pretrained import load_guidance

CLIP, SAM = "ViT-L-14-quickgelu", "sam_vit_h"
LAYERS = (8, 16, 32)


class Holder(nn.Module):
    """A module of given tensors under given names, for TorchScript to save."""

    def __init__(self) -> None:
        super().__init__()
        self.placeholder = 0

    def forward(self, x: Tensor) -> Tensor:
        """Nothing."""
        return x


def nested(state: dict[str, Tensor]) -> nn.Module:
    """Modules whose attribute paths are the names of ``state``."""
    root = Holder()
    for name, value in state.items():
        *path, last = name.split(".")
        module: nn.Module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, Holder())
            module = module.get_submodule(part)
        module.register_parameter(last, nn.Parameter(value, requires_grad=False))
    return root


def write_clip(path: Path) -> None:
    """Random values under the names of OpenAI's archive."""
    import open_clip

    with torch.device("meta"):
        shapes = open_clip.create_model(CLIP, device="meta", pretrained=None).state_dict()
    state = {
        name: torch.randn(value.shape, dtype=torch.half) * 0.02 for name, value in shapes.items() if value.is_floating_point()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the files it wrote are not
        torch.jit.save(torch.jit.trace(nested(state), torch.zeros(1)), str(path))


def write_sam(path: Path) -> None:
    """Random values under the names of SAM's checkpoint, whose other parts are 16 MB and left out."""
    with parameters_on_meta():
        encoder = build_guidance(SAM, LAYERS)
    torch.save({f"image_{name}": torch.randn(value.shape) * 0.02 for name, value in encoder.state_dict().items()}, path)


def private_gib(field: str = "RssAnon") -> float:
    """Memory of this process from the kernel's table, in GiB: private now, or ``VmHWM``, the most that was resident."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 2**20


class Peak(threading.Thread):
    """The most private memory while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.value, self.stopped = 0.0, threading.Event()

    def run(self) -> None:
        """Look every 5 ms."""
        while not self.stopped.wait(0.005):
            self.value = max(self.value, private_gib())


def load(clip: Path, sam: Path, usual: bool) -> list[nn.Module]:
    """Both encoders with the weights of the files."""
    if usual:
        vision, guidance = build_open_clip(CLIP), build_guidance(SAM, LAYERS)
        state = torch.load(sam, map_location="cpu", weights_only=True)
        guidance.load_state_dict({name.removeprefix("image_"): value for name, value in state.items()})
    else:
        with torch.device("meta"):
            vision = build_open_clip(CLIP)
        with parameters_on_meta():
            guidance = build_guidance(SAM, LAYERS)
        load_guidance(guidance, str(sam))
    load_vision_language(vision, clip)
    return [vision, guidance]


def measure(clip: Path, sam: Path, usual: bool) -> dict[str, float]:
    """Seconds and GiB of one loading in this process."""
    start_memory, start, peak = private_gib(), time.perf_counter(), Peak()
    peak.start()
    modules = load(clip, sam, usual)
    seconds = time.perf_counter() - start
    peak.stopped.set()
    peak.join()
    parameters = sum(p.numel() * p.element_size() for module in modules for p in module.parameters()) / 2**30
    figures = {
        "seconds": seconds,
        "parameters_gib": parameters,
        "private_peak_gib": peak.value - start_memory,
        "private_after_gib": private_gib() - start_memory,
        "resident_peak_gib": private_gib("VmHWM"),
    }
    return {name: round(value, 2) for name, value in figures.items()}
