"""Swin stage by stage: agreement with timm and with a plain reference, published layouts, what is put behind its attention."""

import pytest
import timm
import torch
from guidance_layouts import random_state
from swin_references import official, plain_stages
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.blocks.adaptive_noise import AdaptiveNoise
from ovrs.modeling.encoders.swin import SwinStages, build_small_swin, build_swin, with_places
from ovrs.modeling.fitting import parameters_on_meta
from ovrs.modeling.pretrained import load_backbone, under_timm_names
from ovrs.modeling.weights_files import write_state_dict

SIZES = {"embed_dim": 8, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 2, 4), "window_size": 3}
TINY = {"width": 8, "depths": [2, 2, 2, 2], "heads": [1, 2, 2, 4], "window": 3}


def swin_tiny_for_tests(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, **arguments):
    return SwinTransformer(**{"img_size": 96, "num_classes": 11, **SIZES, **arguments})


register_model(swin_tiny_for_tests)


def randomised(module, seed=0):
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.eval()


def agrees(ours, theirs, tolerance=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        error = (one - other).abs().max() / other.abs().max()
        assert error < tolerance, f"relative error {error:.1e}"


@torch.no_grad()
@pytest.mark.parametrize("size", [(96, 96), (192, 96), (192, 288)])
def test_where_windows_divide_the_grid_every_stage_is_timm_s(size):
    theirs = randomised(SwinTransformer(img_size=size, num_classes=0, strict_img_size=False, **SIZES))
    expected = theirs.forward_intermediates(images := torch.randn(2, 3, *size), intermediates_only=True)
    stages = SwinStages(theirs).eval()
    agrees(stages(images), expected)
    assert stages.channels == (8, 16, 32, 64) and stages.strides == (4, 8, 16, 32)


@torch.no_grad()
@pytest.mark.parametrize(("size", "window"), [((96, 128), 3), ((224, 32), 5), ((480, 480), 12), ((96, 128), 12)])
def test_at_any_size_windows_are_those_of_a_grid_that_is_filled_up_and_cut(size, window):
    """Stages of 480 pixels have 120, 60, 30 and 15 patches a side: the last two are no multiples of 12."""
    stages = randomised(build_small_swin(width=8, depths=[2, 2, 2, 2], heads=[1, 2, 2, 4], window=window))
    images = torch.randn(1, 3, *size)
    agrees([stage[0] for stage in stages(images)], plain_stages(stages, images[0]), 1e-4)


@torch.no_grad()
def test_images_of_a_batch_and_stages_one_by_one_give_the_same():
    stages = randomised(build_small_swin(**TINY))
    images = torch.randn(2, 3, 96, 128)
    together = stages(images)
    agrees(together, [torch.cat(pair) for pair in zip(stages(images[:1]), stages(images[1:]), strict=True)])
    x = stages.embed(images)
    assert x.shape == (2, 8, 24, 32)
    x = stages.stage(1, stages.stage(0, x) + 1.0)  # what a system adds reaches the next stage
    assert x.shape == together[1].shape == (2, 16, 12, 16) and not torch.allclose(x, together[1])


# ------------------------------------------------------------------------------------------------- what is put behind it


@torch.no_grad()
def test_plain_weights_load_below_adaptive_noise_which_starts_as_plain_swin():
    plain = randomised(build_small_swin(**TINY))
    wrapped = build_small_swin(**TINY).eval()
    wrapped.wrap_attention(lambda dim: AdaptiveNoise(dim=dim, heads=4, start="identity"))
    result = wrapped.load_state_dict(plain.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert len(result.missing_keys) == 8 * 13 and all(".after_attention." in name for name in result.missing_keys)
    images = torch.randn(1, 3, 64, 96)
    agrees(wrapped(images), plain(images), 1e-12)
    for layer in wrapped.layers:
        nn.init.normal_(layer.blocks[1].after_attention.projection.weight)
    assert all(not torch.allclose(*pair, atol=1e-2) for pair in zip(wrapped(images), plain(images), strict=True))


def test_what_trains_and_what_is_dropped():
    stages = randomised(build_small_swin(**TINY, drop_path=0.3))
    stages.wrap_attention(lambda dim: AdaptiveNoise(dim=dim, heads=4))
    stages.train()
    dropped = [getattr(block.drop_path1, "drop_prob", 0.0) for layer in stages.layers for block in layer.blocks]
    assert dropped == pytest.approx([0.3 * number / 7 for number in range(8)])
    stages.eval()
    sum(stage.square().sum() for stage in stages(torch.randn(1, 3, 96, 192))).backward()
    assert [name for name, p in stages.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
    stages.set_trainable("freeze")
    stages.train()
    assert not stages.layers[0].training
    learning = {name for name, parameter in stages.named_parameters() if parameter.requires_grad}
    assert learning == {name for name in stages.state_dict() if ".after_attention." in name}
    with pytest.raises(ConfigError, match="'attention' of the Swin transformer"):
        stages.set_trainable("attention")


# ------------------------------------------------------------------------------------------------------ published weights


def published():
    state = random_state(official(**TINY, classes=7, grid=24))
    return {name: value.long() if name.endswith("_index") else value for name, value in state.items()}


def loaded(path):
    with parameters_on_meta():
        stages = build_swin("swin_tiny_for_tests", drop_path=0.0)
    load_backbone(stages, stages.name, str(path))
    return stages.eval()


@torch.no_grad()
def test_microsoft_s_file_and_timm_s_give_the_same_stages(tmp_path):
    """Microsoft merges patches at the end of a stage, timm at the beginning of the next; nothing else differs."""
    state = published()
    torch.save({"model": state}, tmp_path / "official.pth")
    from_microsoft = loaded(tmp_path / "official.pth")
    own = from_microsoft.state_dict()
    assert all(
        torch.equal(value, state[name.replace("layers.1.down", "layers.0.down")])
        for name, value in own.items()
        if "downsample" not in name or "layers.1" in name
    )
    theirs = swin_tiny_for_tests(strict_img_size=False).eval()
    theirs.load_state_dict(own, strict=False)
    write_state_dict(theirs.state_dict(), tmp_path / "timm.safetensors")
    images = torch.randn(1, 3, 96, 96)
    expected = theirs.forward_intermediates(images, intermediates_only=True)
    agrees(from_microsoft(images), expected)
    agrees(loaded(tmp_path / "timm.safetensors")(images), expected)


def test_every_name_of_the_published_swin_b_has_its_place_and_none_stays_empty():
    name = "swin_base_patch4_window12_384"
    layout = official(width=128, depths=[2, 2, 18, 2], heads=[4, 8, 16, 32], window=12, classes=21841, grid=96)
    with torch.device("meta"):
        whole = timm.create_model(name, num_classes=21841)
        state = {key: torch.empty(shape) for key, shape in layout.items()}
        found = {key: value.shape for key, value in under_timm_names(state, whole, name).items()}
        stages = build_swin(name)
    assert found == {key: value.shape for key, value in whole.state_dict().items()}
    own = {key: value.shape for key, value in stages.state_dict().items()}
    assert own == {key: shape for key, shape in found.items() if not key.startswith(("norm.", "head."))}
    assert stages.channels == (128, 256, 512, 1024) and sum(shape.numel() for shape in own.values()) == 86_878_584 - 2048


def test_other_models_and_files_are_refused(tmp_path):
    with torch.device("meta"), pytest.raises(ConfigError, match="swinv2.*is a SwinTransformerV2, not a Swin transformer of"):
        build_swin("swinv2_tiny_window8_256")
    with pytest.raises(ConfigError, match="no_such_swin"):
        build_swin("no_such_swin")
    with pytest.raises(ConfigError, match=r"width 8: heads \[1, 3\]"):
        build_small_swin(width=8, depths=[1, 1], heads=[1, 3], window=2)
    state = {name: value for name, value in published().items() if "layers.2.blocks.1" not in name}
    torch.save({"model": state}, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match=r"missing.*layers\.2\.blocks\.1\.\*"):
        loaded(tmp_path / "short.pth")


def test_places_are_the_same_whatever_the_colours_and_tell_left_from_right():
    found = with_places(images := torch.randn(2, 3, 32, 64))
    assert torch.equal(found[:, :3], images)
    right, down = found[:, 3], found[:, 4]
    assert torch.equal(right[:, 0], right[:, -1]) and torch.equal(down[..., 0], down[..., -1])
    assert right[0, 0, [0, -1]].tolist() == [-1, 1] and down[1, [0, -1], 0].tolist() == [-1, 1]
    assert (right.diff(dim=-1) > 0).all() and (down.diff(dim=-2) > 0).all()
    torch.testing.assert_close(right.flip(-1), -right)


@torch.no_grad()
def test_a_small_swin_that_knows_places_answers_a_moved_picture_otherwise():
    picture = torch.zeros(1, 3, 96, 96)
    picture[..., 4:8, 4:8] = 1
    moved = picture.roll((24, 24), dims=(2, 3))  # two windows on
    for places in (False, True):
        stages = randomised(build_small_swin(**TINY, places=places))
        here, there = (stages.embed(x)[..., row, row] for x, row in ((picture, 1), (moved, 7)))
        assert torch.allclose(here, there, atol=1e-6) is not places
        assert [stage.shape[1] for stage in stages(picture)] == [8, 16, 32, 64]
