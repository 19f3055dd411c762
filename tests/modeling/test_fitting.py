"""What does not fit is said by module, little things of others' files are passed over, and nothing is held twice."""

import logging
import threading

import pytest
import torch
from torch import nn

from ovrs.errors import WeightsError
from ovrs.modeling.encoders.guidance import build_sam_encoder
from ovrs.modeling.fitting import WithoutInitialValues, load_state_dict, parameters_on_meta
from ovrs.modeling.recognition import recognise
from ovrs.modeling.weights_files import read_state_dict, write_state_dict


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("attn_mask", torch.ones(2))
        self.register_buffer("scale", torch.full((2,), 3.0), persistent=False)


def tower(blocks=12):
    return nn.ModuleDict({"visual": nn.ModuleDict({"blocks": nn.ModuleList(Block() for _ in range(blocks))}), "head": Block()})


def refusal(module, state, **how):
    with pytest.raises(WeightsError) as raised:
        load_state_dict(module, state, "file.pth", **how)
    return str(raised.value)


def test_missing_and_unknown_names_are_counted_by_module():
    full = tower().state_dict()
    state = {name: value for name, value in full.items() if "blocks.11." not in name and name != "head.attn.bias"}
    state.update({"extra.a.weight": torch.zeros(1), "extra.b.weight": torch.zeros(1), "alone": torch.zeros(1)})
    text = refusal(tower(), state)
    assert "7 missing (6 under visual.blocks.11.*, head.attn.bias)" in text
    assert "3 not of this model (2 under extra.*, alone)" in text


def test_names_spread_over_many_modules_are_counted_by_the_first_parts():
    state = {name: value for name, value in tower().state_dict().items() if not name.endswith("attn.bias")}
    assert "13 missing (12 under visual.blocks.*, head.attn.bias)" in refusal(tower(), state)


def published_with(extra, blocks=40):
    state = tower(blocks).state_dict()
    return state | {f"other.{number}": torch.zeros(1) for number in range(extra)}


def test_up_to_one_name_in_a_hundred_of_a_published_file_may_be_unknown(caplog):
    tolerated, refused = published_with(2), published_with(4)
    assert 0.01 * len(tolerated) >= 2 and 0.01 * len(refused) < 4
    with caplog.at_level(logging.WARNING):
        load_state_dict(tower(40), tolerated, "file.pth", published=True)
    assert "file.pth: 2 not of this model (2 under other.*), left out" in caplog.text
    assert "4 not of this model (4 under other.*)" in refusal(tower(40), refused, published=True)
    assert "2 not of this model" in refusal(tower(40), tolerated)  # a whole model of ours fits or does not


def test_a_missing_parameter_is_never_tolerated():
    state = published_with(0)
    del state["head.attn.bias"]
    assert "1 missing (head.attn.bias)" in refusal(tower(40), state, published=True)


def test_names_that_follow_from_the_architecture_do_no_harm(caplog):
    state = tower(2).state_dict()
    state = {name: value for name, value in state.items() if not name.endswith(("attn_mask", "num_batches_tracked"))}
    state.update(input_resolution=torch.tensor(224), logit_bias=torch.zeros(1), position_ids=torch.zeros(1, 77))
    target = tower(2)
    load_state_dict(target, state, "file.pth")
    assert torch.equal(target["head"].attn_mask, torch.ones(2))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_refused_file_changes_nothing():
    target, state = tower(2), {name: torch.full_like(value, 5) for name, value in tower(2).state_dict().items()}
    before = {name: value.clone() for name, value in target.state_dict().items()}
    state["head.attn.bias"] = torch.tensor([1.0, torch.inf])
    assert "infinite values (head.attn.bias)" in refusal(target, state)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("on_meta", [False, True])
def test_any_floating_precision_becomes_the_model_s(dtype, on_meta, tmp_path):
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in tower(2).state_dict().items()}
    write_state_dict(state, tmp_path / "m.safetensors")
    read = read_state_dict(tmp_path / "m.safetensors")
    if on_meta:
        with parameters_on_meta():
            target = tower(2).requires_grad_(False)
        assert all(p.is_meta for p in target.parameters())
    else:
        target = tower(2)
    memory = [p.data_ptr() for p in target.parameters() if not on_meta]
    load_state_dict(target, read, "m.safetensors")
    for name, value in target.state_dict().items():
        assert value.dtype == (torch.float32 if value.is_floating_point() else torch.int64) and not value.is_meta
        assert torch.equal(value.double(), state[name].double())
    assert torch.equal(target["head"].scale, torch.full((2,), 3.0))  # in no file
    assert all(p.requires_grad is not on_meta for p in target.parameters())
    if on_meta and dtype == torch.float32:  # the file's own pages, no copy
        assert target["head"].attn.weight.data_ptr() == read["head.attn.weight"].data_ptr()
    if not on_meta:  # what an optimizer knows stays where it is
        assert memory == [p.data_ptr() for p in target.parameters()]


def test_only_the_thread_that_asked_builds_without_values():
    built = []
    with parameters_on_meta():
        thread = threading.Thread(target=lambda: built.append(nn.Linear(2, 2)))
        thread.start()
        thread.join()
        built.append(nn.Linear(2, 2))
    built.append(nn.Linear(2, 2))
    assert [module.weight.is_meta for module in built] == [False, True, False]


def test_what_a_file_will_give_is_not_drawn_before():
    def build():
        return nn.Sequential(nn.Linear(2, 3), nn.Embedding(4, 3), nn.BatchNorm1d(3), nn.Conv2d(3, 3, 3))

    torch.manual_seed(0)
    numbers, drawn = torch.get_rng_state(), []
    with WithoutInitialValues():
        built = build()
        thread = threading.Thread(target=lambda: drawn.append(nn.init.ones_(nn.Parameter(torch.zeros(2)))))
        thread.start()
        thread.join()
        buffer = nn.init.constant_(torch.zeros(2), 3.0)  # in no file
        noise = torch.randn(1)
    torch.set_rng_state(numbers)
    assert torch.equal(noise, torch.randn(1))
    assert buffer.tolist() == [3, 3] and drawn[0].tolist() == [1, 1]
    source = build()
    load_state_dict(built, source.state_dict(), "file.pth")
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in built.state_dict().items())


def test_what_no_file_gives_is_not_left_without_value():
    with torch.device("meta"):
        target = tower(2)
    with pytest.raises(RuntimeError, match=r"built without values.*head\.scale"):
        load_state_dict(target, tower(2).state_dict(), "file.pth")


def test_a_sam_built_without_values_computes_what_the_file_s_does(tmp_path):
    sizes = {"depth": 2, "width": 16, "heads": 2, "global_blocks": (1,), "image_size": 64, "window": 3}
    source = build_sam_encoder(**sizes).eval()
    torch.save(source.state_dict(), tmp_path / "sam.pth")
    with parameters_on_meta():
        target = build_sam_encoder(**sizes).eval()
    load_state_dict(target, read_state_dict(tmp_path / "sam.pth"), "sam.pth", published=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(source(image), target(image))


@pytest.mark.parametrize(
    ("names", "looks"),
    [
        (["image_encoder.trunk.pos_embed", "memory_encoder.a"], "SAM 2"),
        (["sem_seg_head.predictor.clip_model.a", "x.decoder1.cconv.weight"], "an OVRS checkpoint"),
        (["visual.trunk.pos_embed", "text.token_embedding.weight"], "SigLIP"),
        (["vision_model.encoder.layers.0.a", "text_model.b"], "names of transformers"),
        (["module.visual.transformer.resblocks.0.a", "module.visual.conv1.weight"], "CLIP (ViT of width 8, patch 2)"),
        (["cls_token", "blocks.0.attn.qkv.weight"], "vision transformer"),
        (["something.else"], ""),
    ],
)
def test_a_foreign_model_is_recognised(names, looks):
    found = recognise({name: torch.zeros(8, 3, 2, 2) for name in names})
    assert looks in found and bool(looks) == bool(found)
