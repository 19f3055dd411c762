"""The encoders against the libraries that own them, and against CAT-Seg's dense path spelled out."""

from copy import deepcopy

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from parts import HashedText, tiny_sam, tiny_vision_language

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.guidance import SAM_SIZES, build_guidance, build_sam_encoder
from ovrs.modeling.encoders.open_clip_models import build_open_clip
from ovrs.modeling.encoders.small import build_small
from ovrs.modeling.encoders.text import ClipText
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def clip():
    """A whole CLIP of open_clip, small, with OpenAI's activation: (the library's model, ours with the same weights)."""
    torch.manual_seed(0)
    sizes = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    theirs, copy = (open_clip.CLIP(**sizes, quick_gelu=True).eval() for _ in range(2))
    copy.load_state_dict(theirs.state_dict())
    text = ClipText(copy, open_clip.get_tokenizer("ViT-B-16"))
    ours = VisionLanguageEncoder(visual=ClipImage(copy.visual), text=text, taps=(1, 2))
    return theirs, ours.eval()


def test_the_global_embedding_is_open_clip_s(clip):
    theirs, ours = clip
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        close(ours.global_embedding(image), theirs.encode_image(image))


def test_text_cut_to_its_longest_prompt_is_open_clip_s_with_all_77_tokens(clip, monkeypatch):
    theirs, ours = clip
    prompts = [["A satellite image of a ship", "a ship"], ["A satellite image of a ground track field", "sea"]]
    with torch.no_grad():
        expected = theirs.encode_text(open_clip.get_tokenizer("ViT-B-16")([p for row in prompts for p in row]))
        close(ours.text(prompts), expected.view(2, 2, -1))
        monkeypatch.setattr(ours.text_tower, "batch_tokens", 1)
        close(ours.text(prompts), expected.view(2, 2, -1))


def test_text_is_computed_once_a_beginning_and_learns_as_if_it_were_not(clip):
    theirs, tower = (deepcopy(part).requires_grad_(True).double() for part in (clip[0], clip[1].text_tower))
    prompts, seen = ["A satellite image of a ship", "sea", "A satellite image of a bridge"], []
    for block in tower.transformer.resblocks:
        block.mlp.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    tower(prompts).square().sum().backward()
    # Start, five words, ship and end; sea and end; bridge and end. Of the last block, the three ends.
    assert seen == [(1, 12, 32), (1, 3, 32)]
    theirs.encode_text(open_clip.get_tokenizer("ViT-B-16")(prompts)).square().sum().backward()
    for part in ("token_embedding.weight", "transformer.resblocks.1.ln_1.weight", "transformer.resblocks.0.mlp.c_fc.weight"):
        expected = theirs.get_parameter(part).grad
        assert expected.abs().max() > 1e-3
        close(tower.get_parameter(part).grad, expected)


def test_tokens_of_text_are_those_of_77_padded_to_the_longest(clip, monkeypatch):
    theirs, ours = clip
    prompts = ["A satellite image of a ground track field", "sea", "A satellite image"]
    with torch.no_grad():
        numbers = open_clip.get_tokenizer("ViT-B-16")(prompts)
        hidden = theirs.transformer(theirs.token_embedding(numbers) + theirs.positional_embedding, attn_mask=theirs.attn_mask)
        expected = theirs.ln_final(hidden) @ theirs.text_projection
        for most in (1024, 8):
            monkeypatch.setattr(ours.text_tower, "batch_tokens", most)
            found = ours.text_tower.read(prompts)
            assert found.mask.sum(dim=1).tolist() == [10, 3, 5] and found.tokens.shape[:2] == (3, 10)
            close(found.tokens[found.mask], expected[:, :10][found.mask])
            close(found.pooled, theirs.encode_text(numbers))


@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
def test_dense_embeddings_are_cat_seg_s_last_block(clip, size):
    theirs, ours = clip
    image = torch.randn(2, 3, *size)
    grid = (size[0] // 8, size[1] // 8)
    visual = theirs.visual
    with torch.no_grad():
        table = visual.positional_embedding
        resized = F.interpolate(table[1:].T.view(1, -1, 4, 4), size=grid, mode="bicubic", align_corners=False)
        x = visual.conv1(image).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(2, 1, -1), x], dim=1) + torch.cat([table[:1], resized.flatten(2)[0].T])
        x = visual.ln_pre(x)
        taps = []
        for block in visual.transformer.resblocks[:-1]:
            x = block(x)
            taps.append(x[:, 1:].transpose(1, 2).unflatten(2, grid))
        last = visual.transformer.resblocks[-1]
        weight, bias = last.attn.in_proj_weight[128:], last.attn.in_proj_bias[128:]
        value = last.attn.out_proj(F.linear(last.ln_1(x), weight, bias))
        y = torch.stack([x[:, 0] + value[:, i] for i in range(x.shape[1])], dim=1)
        y = y + last.mlp(last.ln_2(y))
        y = visual.ln_post(y) @ visual.proj
        features = ours.image(image)
        close(features.dense, y[:, 1:].transpose(1, 2).unflatten(2, grid))
        close(features.pooled, y[:, 0])
        assert len(features.taps) == 2
        for tap, expected in zip(features.taps, taps, strict=True):
            close(tap, expected)


def test_position_embeddings_are_resized_once_per_size_and_anew_when_they_change(monkeypatch):
    encoder = tiny_vision_language("freeze")
    calls = []
    original = F.interpolate
    monkeypatch.setattr(F, "interpolate", lambda *a, **k: calls.append(k["size"]) or original(*a, **k))
    image = torch.randn(1, 3, 48, 48)
    first = encoder.image(image).dense
    assert torch.equal(encoder.image(image).dense, first) and calls == [(6, 6)]
    with torch.no_grad():
        encoder.visual.positional_embedding += 0.5
    assert not torch.allclose(encoder.image(image).dense, first) and len(calls) == 2
    encoder.set_trainable("full")
    encoder.image(image).dense.sum().backward()
    assert encoder.visual.positional_embedding.grad.abs().sum() > 0


def test_patch_grid_and_width_come_from_the_model_not_from_its_name():
    visual = VisionTransformer(image_size=30, patch_size=10, width=24, layers=2, heads=2, mlp_ratio=1.0, output_dim=12)
    encoder = VisionLanguageEncoder(visual=ClipImage(visual), text=HashedText(12))
    assert (encoder.patch, encoder.width, encoder.dim) == (10, 24, 12)
    assert encoder.image(torch.randn(1, 3, 20, 40)).dense.shape == (1, 12, 2, 4)


def trained_names(module):
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def test_attention_trains_queries_and_values_of_both_towers_and_nothing_else(clip):
    ours = clip[1]
    ours.set_trainable("attention")
    blocks = [f"visual.transformer.resblocks.{i}" for i in range(3)] + [
        f"text_tower.transformer.resblocks.{i}" for i in range(2)
    ]
    expected = {f"{block}.attn.{part}_proj_weight" for block in blocks for part in "qv"}
    # The dense path reads only the values of the last visual block.
    assert trained_names(ours) == expected - {"visual.transformer.resblocks.2.attn.q_proj_weight"}
    ours.set_trainable("full")
    everything = {name for name, _ in ours.named_parameters()}
    assert everything - trained_names(ours) == {*ours.outside_dense_path(), "logit_scale"}
    ours.set_trainable("freeze")
    assert not trained_names(ours)
    with pytest.raises(ConfigError, match="some"):
        ours.set_trainable("some")


def test_unknown_and_unfit_architectures_are_refused():
    with pytest.raises(ConfigError, match="no architecture 'ViT-Z'"):
        build_open_clip("ViT-Z")
    with pytest.raises(ConfigError, match="RN50: only plain CLIP"):
        build_open_clip("RN50")
    with pytest.raises(ConfigError, match="usable blocks are 1 to 2"):
        tiny_vision_language(taps=(3,))


# -------------------------------------------------------------------- guidance


def test_sam_at_its_native_size_is_segment_anything_s():
    encoder = tiny_sam(layers=(1, 3, "neck"))
    image = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        features = encoder(image)
        close(features["neck"], encoder.encoder(image))
    assert list(features) == [1, 3, "neck"] and features[1].shape == (2, 16, 8, 8) and features["neck"].shape == (2, 256, 8, 8)


@pytest.mark.parametrize("size", [(96, 96), (64, 80)])
def test_sam_at_another_size_is_the_same_encoder_with_its_positions_resized(size):
    encoder = tiny_sam(layers=(2, 3))
    image = torch.randn(1, 3, *size)
    grid = (size[0] // 16, size[1] // 16)
    reference = build_sam_encoder(depth=3, width=16, heads=2, global_blocks=(1,), image_size=128, window=3)
    reference.load_state_dict(encoder.encoder.state_dict())
    resized = F.interpolate(reference.pos_embed.permute(0, 3, 1, 2), size=grid, mode="bicubic", align_corners=False)
    with torch.no_grad():
        x = reference.patch_embed(image) + resized.permute(0, 2, 3, 1)
        for block in reference.blocks:
            x = block(x)
        close(encoder(image)[3], x.permute(0, 3, 1, 2))


def test_frozen_guidance_keeps_no_graph_and_full_trains_what_is_on_a_path():
    encoder = tiny_sam(layers=(1, 2))
    assert not encoder(torch.randn(1, 3, 64, 64))[2].requires_grad
    encoder.set_trainable("full")
    sum(feature.sum() for feature in encoder(torch.randn(1, 3, 64, 64)).values()).backward()
    without = {name for name, p in encoder.named_parameters() if p.grad is None}
    assert without == {name for name, p in encoder.named_parameters() if not p.requires_grad}
    assert all(name.startswith(("encoder.neck.", "encoder.blocks.2.")) for name in without) and without


@pytest.mark.parametrize("layers", [(1, 2), (1, "neck")])
def test_of_guidance_its_attention_layers_may_train_alone(layers):
    encoder = tiny_sam(layers=layers, train="attention")
    sum(feature.sum() for feature in encoder(torch.randn(1, 3, 64, 64)).values()).backward()
    learning = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert learning == {name for name, p in encoder.named_parameters() if p.requires_grad}
    blocks = range(3 if "neck" in layers else 2)
    assert {".".join(name.split(".")[:4]) for name in learning} == {f"encoder.blocks.{block}.attn" for block in blocks}
    with pytest.raises(ConfigError, match="no attention layers"):
        build_guidance("timm:resnet10t", [1], train="attention")


def test_a_frozen_encoder_keeps_its_batch_statistics():
    pyramid = build_guidance("timm:resnet10t", [1, 2, 3], train="freeze").train()
    before = {name: value.clone() for name, value in pyramid.state_dict().items()}
    pyramid(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in pyramid.state_dict().items())
    pyramid.set_trainable("full")
    assert pyramid.train().encoder.training


def test_pyramids_of_timm_and_unknown_names():
    pyramid = build_guidance("timm:resnet10t", [1, 2, 3], train="full")
    shapes = [tuple(feature.shape[1:]) for feature in pyramid.eval()(torch.randn(1, 3, 64, 64)).values()]
    assert shapes == [(pyramid.channels[level], 64 // stride, 64 // stride) for level, stride in ((1, 4), (2, 8), (3, 16))]
    with pytest.raises(ConfigError, match="guidance encoder 'sam_vit_z'"):
        build_guidance("sam_vit_z", [1])
    with pytest.raises(ConfigError, match="guidance layer 4"):
        tiny_sam(layers=(4,))


def test_the_levels_of_a_pyramid_are_those_asked_for_in_any_order():
    ascending, descending = (build_guidance("timm:resnet10t", order).eval() for order in ([1, 2, 3], [3, 2, 1]))
    descending.load_state_dict(ascending.state_dict())
    image = torch.randn(1, 3, 64, 64)
    for level, feature in descending(image).items():
        assert feature.shape[1] == descending.channels[level]
        close(feature, ascending(image)[level])


@pytest.mark.parametrize("name, layers", [("timm:resnet10t", [1, 3]), ("sam_vit_b", [1, 2])])
def test_features_of_unit_variance_are_the_encoder_s_own_scaled_position_by_position(name, layers, monkeypatch):
    monkeypatch.setitem(SAM_SIZES, "sam_vit_b", (2, 32, 2, (1,)))
    encoder = build_guidance(name, layers, unit_variance=True).eval()
    image = torch.randn(2, 3, 64, 64)
    scaled, own = encoder(image), encoder.features(image)
    for layer in layers:
        values = own[layer].detach().double().numpy()
        centred = values - values.mean(axis=1, keepdims=True)
        close(scaled[layer], torch.from_numpy(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)).float())
        assert not np.allclose(values.std(axis=1), 1, atol=0.1)
    encoder.unit_variance = False
    assert all(torch.equal(value, own[layer]) for layer, value in encoder(image).items())


def test_hiera_takes_whole_windows_of_positions_and_says_so():
    with torch.device("meta"):
        pyramid = build_guidance("timm:sam2_hiera_tiny", [0, 1, 2])
        assert pyramid.stride == 32
        shapes = [tuple(feature.shape[2:]) for feature in pyramid(torch.zeros(1, 3, 32, 96)).values()]
        assert shapes == [(8, 24), (4, 12), (2, 6)]
        with pytest.raises(RuntimeError):  # what the stride guards against
            pyramid(torch.zeros(1, 3, 48, 96))


def test_a_stem_that_does_not_train_keeps_its_batch_statistics():
    encoder = build_small(image_size=32, patch=16, width=32, layers=2, heads=2, dim=16, train="attention").train()
    before = {name: value.clone() for name, value in encoder.visual.conv1.named_buffers()}
    encoder.image(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in encoder.visual.conv1.named_buffers())
