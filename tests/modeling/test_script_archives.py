"""TorchScript archives, as OpenAI publishes CLIP, give exactly the tensors of the module that was saved, and run nothing."""

import warnings

import open_clip
import pytest
import torch
from torch import nn

from ovrs.errors import WeightsError
from ovrs.modeling.checkpoints import load_vision_language
from ovrs.modeling.encoders.open_clip_models import from_open_clip
from ovrs.modeling.weights_files import read_state_dict

SIZES = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(autouse=True)
def no_script_is_loaded(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("code of the archive was compiled")

    monkeypatch.setattr(torch.jit, "load", refuse)
    monkeypatch.setattr(torch._C, "import_ir_module", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the files it wrote are not
        yield


def published_like_openai(path, seed=0):
    """A CLIP under OpenAI's names, half precision but for the norms, traced; with the integers that describe it."""
    torch.manual_seed(seed)
    clip = open_clip.CLIP(**SIZES).eval()
    for name, value in (("input_resolution", 32), ("context_length", 8), ("vocab_size", 50)):
        clip.__dict__.pop(name, None)  # open_clip has two of them as plain numbers
        clip.register_buffer(name, torch.tensor(value))
    traced = torch.jit.trace(clip, (torch.zeros(1, 3, 32, 32), torch.ones(1, 8, dtype=torch.long)), check_trace=False)
    for parameter in traced.parameters():  # as OpenAI's: weights are halved after tracing
        parameter.data = parameter.data.half() if parameter.ndim > 1 else parameter.data
    torch.jit.save(traced, path)
    return {name: value.detach() for name, value in traced.state_dict().items()}


def test_a_traced_clip_of_openai_s_layout_comes_back_exactly(tmp_path):
    published = published_like_openai(tmp_path / "clip.pt")
    read = read_state_dict(tmp_path / "clip.pt")
    extra = set(read) - set(published)
    assert set(published) <= set(read) and extra <= {"attn_mask"}  # kept beside the parameters, by attribute as they are
    for name, value in published.items():
        assert read[name].dtype == value.dtype and torch.equal(read[name], value), name
    assert read["visual.transformer.resblocks.0.attn.in_proj_weight"].dtype == torch.float16
    assert int(read["input_resolution"]) == 32


def test_it_loads_into_the_encoder(tmp_path):
    published = published_like_openai(tmp_path / "clip.pt")
    with torch.device("meta"):
        encoder = from_open_clip(open_clip.CLIP(**SIZES), None)
    load_vision_language(encoder, tmp_path / "clip.pt")
    fused = published["transformer.resblocks.1.attn.in_proj_weight"].float()
    attention = encoder.text_tower.transformer.resblocks[1].attn
    assert torch.equal(torch.cat([attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight]), fused)
    assert torch.equal(encoder.visual.proj, published["visual.proj"].float())


class Odd(nn.Module):
    """Tensors that share memory, are cut from larger ones or turned, of several kinds of numbers; lists and integers beside."""

    numbers: list[int]

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.tied = self.linear.weight
        whole = torch.arange(24.0).view(4, 6)
        self.cut = nn.Parameter(whole[1:3, 2:5].half())
        self.register_buffer("column", whole[:, 1])
        self.register_buffer("turned", whole.t())
        self.register_buffer("counts", torch.tensor([2**40, -1]))
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("repeated", torch.tensor([5.0]).expand(4))
        self.blocks = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
        self.numbers = [1, 2]
        self.size = 224

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.numbers[0]


@pytest.mark.parametrize("compile_module", [torch.jit.script, lambda module: torch.jit.trace(module, torch.zeros(1, 3))])
def test_shared_cut_and_turned_tensors_come_back(tmp_path, compile_module):
    module = compile_module(Odd().eval())
    torch.jit.save(module, tmp_path / "odd.pt")
    expected, read = module.state_dict(), read_state_dict(tmp_path / "odd.pt")
    assert set(read) == set(expected)
    for name, value in expected.items():
        assert read[name].dtype == value.dtype and read[name].stride() == value.stride() and torch.equal(read[name], value), (
            name
        )
    assert read["tied"].data_ptr() == read["linear.weight"].data_ptr()


def test_what_is_no_plain_tensor_is_refused_by_name(tmp_path):
    class Quantised(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8))

        def forward(self, x):
            return x

    torch.jit.save(torch.jit.trace(Quantised(), torch.zeros(1)), tmp_path / "quantised.pt")
    with pytest.raises(WeightsError, match=r"quantised\.pt: a TorchScript archive that holds .*QInt8Storage"):
        read_state_dict(tmp_path / "quantised.pt")
