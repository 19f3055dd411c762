"""What a first answer waits for: libraries and systems that are not used are not imported."""

import subprocess
import sys

from ovrs.modeling.registry import SYSTEMS

FIRST_ANSWER = """
import sys
import numpy as np
from ovrs import Segmenter

segmenter = Segmenter.from_config("mini", device="cpu")
segmenter.segment(np.zeros((64, 64, 3), np.uint8), ["ship", "bridge"])
print(*sys.modules)

# Nothing of it is to be seen afterwards.
import torch
from torchvision.ops import roi_align

assert "torch._dynamo.utils" not in sys.modules and torch.compiler.disable.__module__ == "torch.compiler"
here = sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu")
assert here == torch._dynamo.utils.is_compile_supported("cpu") and "sympy" in sys.modules
"""


def test_the_small_model_answers_without_the_compiler_and_other_models_libraries():
    done = subprocess.run([sys.executable, "-c", FIRST_ANSWER], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {"torch", "timm", "detectron2.modeling", "ovrs.modeling.aeroseg"} <= imported
    unwanted = {"torch._dynamo", "torch._inductor", "sympy", "transformers", "open_clip", "pandas", "matplotlib", "scipy"}
    others = {f"ovrs.modeling.{module}" for module in SYSTEMS.values()} - {"ovrs.modeling.aeroseg"}
    assert not imported & (unwanted | others)
