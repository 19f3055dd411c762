"""A pass never waits for a GPU: shown without one, by tensors that are on a GPU by name and hold nothing.

What makes a process wait is a value that it asks of the GPU, which such tensors have not, and a tensor that it gives to the GPU
in the midst of the pass. So can neither be part of a CUDA graph.
"""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from segment_anything.modeling.image_encoder import get_rel_pos
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ovrs.modeling.encoders.sam_attention import _relative
from ovrs.vocabulary import Vocabulary

sys.path.append(str(Path(__file__).parents[1] / "modeling"))
from parts import tiny_aeroseg, tiny_rs_zeroseg

WORDS = Vocabulary.from_names("abc")


class Crossings(TorchDispatchMode):
    """Operators with tensors on two kinds of device; numbers are passed along with the call."""

    def __init__(self):
        super().__init__()
        self.met = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        copies = func.__name__.startswith(("_to_copy", "copy_"))
        if len({tensor.device.type for tensor in tensors if tensor.ndim or copies}) > 1:
            self.met.append(func.__name__)
        return result


@pytest.mark.parametrize(
    "build",
    [tiny_aeroseg, lambda: tiny_aeroseg(guidance="clip"), lambda: tiny_aeroseg(max_classes=2), tiny_rs_zeroseg],
    ids=["aeroseg", "own guidance", "best classes", "rs_zeroseg"],
)
def test_a_pass_gives_the_gpu_nothing_and_asks_for_nothing(build):
    model = build().eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys made of the addresses of what holds nothing
        model.to("cuda")
        text, images = torch.randn(3, 4, 24, device="cuda"), torch.rand(2, 3, 40, 40, device="cuda")
        model.scores_of(images, text, WORDS)  # which makes what is kept
        with Crossings() as crossings:
            scores = model.scores_of(images, text, WORDS)
    assert scores.device.type == "cuda" and not crossings.met


def test_a_crossing_is_noticed():
    with FakeTensorMode(), Crossings() as crossings:
        on_gpu = torch.zeros(4, device="cuda")
        on_gpu + 1.0
        on_gpu * torch.tensor(2.0)
        assert crossings.met == []
        on_gpu[torch.tensor([0, 1])]
        torch.zeros(2).to("cuda")
    assert crossings.met == ["index.Tensor", "_to_copy.default"]


@pytest.mark.parametrize(("side", "length"), [(7, 13), (4, 13), (9, 13), (1, 5)])
def test_relative_positions_are_segment_anythings(side, length):
    table = torch.randn(length, 5)
    torch.testing.assert_close(_relative(table, side), get_rel_pos(side, side, table))
