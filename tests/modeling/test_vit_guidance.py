"""Plain vision transformers as guidance: published layouts, agreement with timm and transformers, plain references."""

import re

import numpy as np
import pytest
import timm
import torch
from guidance_layouts import dino, dinov2, dinov3, for_transformers, perception, random_state
from guidance_references import layer_norm, patches, perception_block, resampling, resized
from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.encoders.guidance import PyramidGuidance, build_guidance
from ovrs.modeling.encoders.vit_guidance import RESIZES, VitGuidance, resize_of
from ovrs.modeling.fitting import parameters_on_meta
from ovrs.modeling.pretrained import load_guidance, under_timm_names

DINOV3 = {"patch_size": 16, "init_values": 1e-5, "rope_type": "dinov3", "rope_temperature": 100, "rope_rotate_half": True}
DINOV3 |= {"use_rot_pos_emb": True, "use_abs_pos_emb": False, "num_reg_tokens": 4, "use_fc_norm": False}
PERCEPTION = {"patch_size": 8, "img_size": 40, "attn_type": "rope", "use_pre_transformer_norm": True, "use_rot_pos_emb": True}
PERCEPTION |= {"ref_feat_shape": (5, 5), "rope_grid_offset": 1.0, "rope_grid_indexing": "xy"}


def shrunk(kind, **settings):
    """A model of timm's classes, three blocks of width 32, under a name of its own in timm's registry."""

    def create(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, **arguments):
        fixed = {"embed_dim": 32, "depth": 3, "num_heads": 2, "num_classes": 0}
        return kind(**{**fixed, **settings, **arguments})

    return create


def with_eps(eps):
    return lambda width, **kwargs: torch.nn.LayerNorm(width, eps=eps, **kwargs)


MODELS = {
    "tiny_vit_patch8_dino": (VisionTransformer, {"patch_size": 8, "img_size": 40}),
    "tiny_vit_patch7_dinov2": (VisionTransformer, {"patch_size": 7, "img_size": 35, "init_values": 1e-5}),
    "tiny_vit_patch7_reg4_dinov2": (
        VisionTransformer,
        {"patch_size": 7, "img_size": 35, "init_values": 1e-5, "reg_tokens": 4, "no_embed_class": True},
    ),
    "tiny_vit_patch16_dinov3": (Eva, {**DINOV3, "qkv_bias": False, "norm_layer": with_eps(1e-5)}),
    "tiny_vit_patch16_dinov3_qkvb": (Eva, {**DINOV3, "norm_layer": with_eps(1e-5)}),
    "vit_pe_tiny_spatial": (Eva, {**PERCEPTION, "use_post_transformer_norm": False, "norm_layer": with_eps(1e-5)}),
    "vit_pe_tiny_core": (
        Eva,
        {**PERCEPTION, "global_pool": "map", "attn_pool_num_heads": 2, "num_classes": 24, "norm_layer": with_eps(1e-5)},
    ),
}
for name, (kind, settings) in MODELS.items():
    function = shrunk(kind, **settings)
    function.__name__ = name
    register_model(function)

TINY = {"width": 32, "depth": 3}
LAYOUTS = {
    "tiny_vit_patch8_dino": dino(**TINY, patch=8, grid=5),
    "tiny_vit_patch7_dinov2": dinov2(**TINY, patch=7, grid=5),
    "tiny_vit_patch7_reg4_dinov2": dinov2(**TINY, patch=7, grid=5, registers=4),
    "tiny_vit_patch16_dinov3": dinov3(**TINY, heads=2),
    "tiny_vit_patch16_dinov3_qkvb": dinov3(**TINY, heads=2),
    "vit_pe_tiny_spatial": perception(**TINY, patch=8, grid=5),
    "vit_pe_tiny_core": perception(**TINY, patch=8, grid=5, out=24),
}


def published(name):
    """Random weights in the published layout; DINOv3's biases are zero but for the model that has them."""
    state = random_state(LAYOUTS[name])
    if name.endswith("dinov3"):
        state |= {key: torch.zeros_like(value) for key, value in state.items() if key.endswith("qkv.bias")}
    return state


def loaded(name, state, path, layers=(1, 2, 3)):
    torch.save(state, path)
    with parameters_on_meta():
        encoder = build_guidance(f"timm:{name}", layers).eval()
    load_guidance(encoder, str(path))
    return encoder


def agrees(ours, theirs, tolerance=1e-4):
    theirs = torch.as_tensor(theirs, dtype=ours.dtype)
    assert ours.shape == theirs.shape
    error = (ours - theirs).abs().max() / theirs.abs().max()
    assert error < tolerance, f"relative error {error:.1e}"


def in_transformers(name, state):
    """The model of transformers that owns the architecture, with a published state dict."""
    import transformers as hf

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 128}
    if "dinov3" in name:
        config = hf.DINOv3ViTConfig(**sizes, num_register_tokens=4, query_bias=True, value_bias=True, key_bias=False)
        theirs, layers = hf.DINOv3ViTModel(config), "model.layer"
    elif "reg4" in name:
        config = hf.Dinov2WithRegistersConfig(**sizes, image_size=35, patch_size=7, num_register_tokens=4)
        theirs, layers = hf.Dinov2WithRegistersModel(config), "encoder.layer"
    elif "dinov2" in name:
        theirs, layers = hf.Dinov2Model(hf.Dinov2Config(**sizes, image_size=35, patch_size=7)), "encoder.layer"
    else:
        config = hf.ViTConfig(**sizes, image_size=40, patch_size=8, layer_norm_eps=1e-6)
        theirs, layers = hf.ViTModel(config, add_pooling_layer=False), "layers"
    mapped = {}
    for key, value in for_transformers(state, layers).items():
        if "dinov3" in name:
            key = key.replace("embeddings.projection", "embeddings").replace("mlp.fc1", "mlp.up_proj")
            key = key.replace("mlp.fc2", "mlp.down_proj")
        elif name.endswith("dino"):
            key = re.sub(r"\.norm1\.", ".layernorm_before.", re.sub(r"\.norm2\.", ".layernorm_after.", key))
        mapped[key] = value
    if "dinov3" in name:  # keys' biases are masked in the published model, absent here
        mapped["embeddings.mask_token"] = mapped["embeddings.mask_token"][None]
        mapped = {key: value for key, value in mapped.items() if not key.endswith("k_proj.bias")}
    result = theirs.load_state_dict(mapped, strict=False)
    assert not result.unexpected_keys and all("norm." in key and "layer." not in key for key in result.missing_keys)
    return theirs.eval()


GRIDS = [(5, 5), (7, 3), (4, 9)]


@torch.no_grad()
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", [name for name in MODELS if "_pe_" not in name])
def test_the_blocks_of_a_published_file_are_those_of_transformers(name, grid, tmp_path):
    state = published(name)
    ours = loaded(name, state, tmp_path / "published.pth")
    image = torch.randn(2, 3, *(side * ours.stride for side in grid))
    extra = {"interpolate_pos_encoding": True} if name.endswith("dino") else {}
    hidden = in_transformers(name, state)(image, output_hidden_states=True, **extra).hidden_states
    for number, feature in ours(image).items():
        tokens = hidden[number][:, ours.encoder.num_prefix_tokens :]
        agrees(feature, tokens.mT.unflatten(2, grid))


@torch.no_grad()
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", ["vit_pe_tiny_spatial", "vit_pe_tiny_core"])
def test_the_blocks_of_a_perception_encoder_are_the_plain_reference_s(name, grid, tmp_path):
    """Positions are resized linearly, rotary ones counted in patches; no library but timm has this encoder to compare with."""
    ours = loaded(name, published(name), tmp_path / "published.pt")
    prefix = "visual." if "core" in name else ""
    state = {
        key.removeprefix(prefix): value.double().numpy() for key, value in published(name).items() if key.startswith(prefix)
    }
    image = torch.randn(1, 3, grid[0] * 8, grid[1] * 8)
    x = patches(image[0].double().numpy(), state["conv1.weight"], 0.0).reshape(-1, 32)
    positions = state["positional_embedding"]
    x = np.concatenate([state["class_embedding"][None], x])
    x += np.concatenate([positions[:1], resized(positions[1:].reshape(5, 5, 32), grid, "linear").reshape(-1, 32)])
    x = layer_norm(x, state["ln_pre.weight"], state["ln_pre.bias"], 1e-5)
    places = [(0, 0)] + [(row + 1, column + 1) for row in range(grid[0]) for column in range(grid[1])]
    for number, feature in ours(image).items():
        start = f"transformer.resblocks.{number - 1}."
        x = perception_block(x, {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}, 2, places)
        agrees(feature[0], x[1:].T.reshape(32, *grid))


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_at_the_native_size_timm_s_own_forward_gives_the_same(name, tmp_path):
    """In timm's own layout too, as its hub keeps it; class and register tokens are left out of the maps."""
    kind, _ = MODELS[name]
    theirs = timm.create_model(name).eval()
    assert isinstance(theirs, kind)
    theirs.load_state_dict(under_timm_names(published(name), theirs, "published"), strict="dino" in name)
    ours = loaded(name, theirs.state_dict(), tmp_path / "timm.pth", layers=(3, 1))
    side = theirs.patch_embed.img_size[0]
    image = torch.randn(2, 3, side, side)
    for feature, expected in zip(
        [ours(image)[1], ours(image)[3]],
        theirs.forward_intermediates(image, indices=[0, 2], norm=False, intermediates_only=True),
        strict=True,
    ):
        agrees(feature, expected, 1e-5)


@pytest.mark.parametrize("size", [(5, 5), (12, 7), (16, 16), (3, 21)])
def test_the_three_ways_to_resize_positions_are_the_plain_reference_s(size):
    grid = torch.randn(1, 4, 9, 11)
    for way, kind in (("bicubic", "bicubic"), ("antialiased", "antialiased"), ("bilinear", "linear")):
        expected = resized(grid[0].permute(1, 2, 0).numpy(), size, kind)
        agrees(RESIZES[way](grid, size)[0].permute(1, 2, 0), expected)
    assert not np.allclose(resampling(9, 5, "antialiased"), resampling(9, 5, "bicubic"), atol=0.05)


def test_how_positions_are_resized_follows_the_publisher():
    assert resize_of("vit_base_patch8_224.dino") == resize_of("vit_large_patch14_dinov2.lvd142m") == "bicubic"
    assert resize_of("vit_large_patch14_reg4_dinov2.lvd142m") == resize_of("vit_base_patch16_224.augreg_in21k") == "antialiased"
    assert resize_of("vit_pe_spatial_base_patch16_512.fb") == "bilinear"


FULL = {
    "vit_base_patch8_224.dino": dino(width=768, depth=12, patch=8, grid=28),
    "vit_base_patch16_224.dino": dino(width=768, depth=12, patch=16, grid=14),
    "vit_base_patch14_dinov2": dinov2(width=768, depth=12, patch=14, grid=37),
    "vit_large_patch14_dinov2": dinov2(width=1024, depth=24, patch=14, grid=37),
    "vit_base_patch14_reg4_dinov2": dinov2(width=768, depth=12, patch=14, grid=37, registers=4),
    "vit_large_patch14_reg4_dinov2": dinov2(width=1024, depth=24, patch=14, grid=37, registers=4),
    "vit_large_patch16_dinov3_qkvb.sat493m": dinov3(width=1024, depth=24, heads=16),
    "vit_base_patch16_dinov3_qkvb.lvd1689m": dinov3(width=768, depth=12, heads=12),
    "vit_pe_core_base_patch16_224": perception(width=768, depth=12, patch=16, grid=14, out=1024),
    "vit_pe_spatial_base_patch16_512": perception(width=768, depth=12, patch=16, grid=32),
    "vit_pe_spatial_large_patch14_448": perception(width=1024, depth=24, patch=14, grid=32),
}


@pytest.mark.parametrize("name", FULL)
def test_every_name_of_a_published_file_has_its_place_and_no_place_stays_empty(name):
    with torch.device("meta"):
        whole = timm.create_model(name)
        state = {key: torch.empty(shape) for key, shape in FULL[name].items()}
        found = {key: value.shape for key, value in under_timm_names(state, whole, name).items()}
    expected = {key: value.shape for key, value in whole.state_dict().items()}
    if "spatial" in name:  # 2025's first files and timm's model have no head
        expected = {key: shape for key, shape in expected.items() if not key.startswith(("head.", "norm."))}
    assert found == expected


def test_dinov3_without_biases_takes_only_files_whose_biases_are_zero(tmp_path):
    state = published("tiny_vit_patch16_dinov3_qkvb")
    with pytest.raises(WeightsError, match=r"blocks\.0\.attn\.qkv\.bias is not zero.*_qkvb"):
        loaded("tiny_vit_patch16_dinov3", state, tmp_path / "v3.pth")
    with pytest.raises(WeightsError, match=r"under the names of transformers"):
        loaded("tiny_vit_patch16_dinov3", {"embeddings.cls_token": torch.zeros(1)}, tmp_path / "hf.pth")


def test_what_dino_s_training_leaves_is_read_from_its_teacher(tmp_path):
    state = published("tiny_vit_patch8_dino")
    wrapped = {f"module.backbone.{key}": value for key, value in state.items()}
    head = {"module.head.mlp.0.weight": torch.zeros(4, 32)}
    student = {key: torch.zeros_like(value) for key, value in wrapped.items()}
    ours = loaded("tiny_vit_patch8_dino", {"student": student, "teacher": wrapped | head, "epoch": 100}, tmp_path / "dino.pth")
    assert torch.equal(ours.encoder.pos_embed, state["pos_embed"])


@torch.no_grad()
def test_blocks_above_the_deepest_one_are_not_kept_and_all_that_is_kept_is_frozen_or_trains(tmp_path):
    name = "tiny_vit_patch7_reg4_dinov2"
    cut = loaded(name, published(name), tmp_path / "v2.pth", layers=(2, 1))
    assert len(cut.encoder.blocks) == 2 and cut.frozen and list(cut.layers) == [2, 1] and cut.channels == {2: 32, 1: 32}
    deeper = loaded(name, published(name), tmp_path / "v2.pth")
    image = torch.randn(1, 3, 28, 42)
    assert torch.equal(cut(image)[2], deeper(image)[2]) and list(cut(image)) == [2, 1]
    with torch.enable_grad():
        cut.set_trainable("full")
        sum(feature.sum() for feature in cut(image).values()).backward()
    assert all(parameter.grad is not None for parameter in cut.parameters())


def test_kinds_are_told_apart_and_blocks_and_files_that_do_not_exist_are_named(tmp_path):
    assert isinstance(build_guidance("timm:tiny_vit_patch8_dino", [1]), VitGuidance)
    assert isinstance(build_guidance("timm:resnet10t", [1]), PyramidGuidance)
    for layer in (0, 4, "neck"):
        with pytest.raises(ConfigError, match=f"guidance layer {layer!r}: blocks 1 to 3"):
            build_guidance("timm:tiny_vit_patch8_dino", [layer])
    with pytest.raises(ConfigError, match="no_such_vit"):
        build_guidance("timm:no_such_vit", [1])
    with pytest.raises(WeightsError, match=r"not of this model.*blocks\.3"):
        loaded("tiny_vit_patch8_dino", random_state(dino(width=32, depth=4, patch=8, grid=5)), tmp_path / "deeper.pth", [1])
