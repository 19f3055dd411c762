"""SAM and SAM 2 as guidance: published layouts, agreement with the owning libraries, and plain references at other sizes."""

import pytest
import timm
import torch
from guidance_layouts import SAM2_SIZES, random_state, sam2, transformers_sam2
from guidance_references import patches, resized, sam_block
from parts import randomize
from timm.models import register_model
from timm.models.hieradet_sam2 import HieraDet

from ovrs.errors import WeightsError
from ovrs.modeling.encoders.guidance import SAM_SIZES, PyramidGuidance, build_guidance, build_sam_encoder
from ovrs.modeling.fitting import parameters_on_meta
from ovrs.modeling.pretrained import load_guidance, under_timm_names

TINY_HIERA = {"width": 16, "stages": [1, 2, 3, 2], "background": 7}


@register_model
def tiny_hiera(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None):
    """SAM 2's Hiera with the published windows, and one global block."""
    return HieraDet(
        embed_dim=16, num_heads=1, stages=(1, 2, 3, 2), global_att_blocks=(4,), global_pos_size=(7, 7), num_classes=0
    )


@register_model
def tiny_hiera_deeper(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None):
    return HieraDet(
        embed_dim=16, num_heads=1, stages=(1, 2, 4, 2), global_att_blocks=(4,), global_pos_size=(7, 7), num_classes=0
    )


def agrees(ours, theirs, tolerance=1e-4):
    """Equal up to a share of the largest value."""
    theirs = torch.as_tensor(theirs, dtype=ours.dtype)
    assert ours.shape == theirs.shape
    error = (ours - theirs).abs().max() / theirs.abs().max()
    assert error < tolerance, f"relative error {error:.1e}"


# ------------------------------------------------------------------------ SAM


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    """A whole SAM checkpoint with random weights, relative positions among them; segment_anything's encoder, and ours."""
    path = tmp_path_factory.mktemp("sam") / "sam.pth"
    sizes = {"depth": 3, "width": 16, "heads": 2, "global_blocks": (1,), "image_size": 96, "window": 4}
    theirs = randomize(build_sam_encoder(**sizes), seed=1).eval()
    state = {f"image_encoder.{name}": value for name, value in theirs.state_dict().items()}
    torch.save(state | {"prompt_encoder.no_mask_embed.weight": torch.zeros(1, 256)}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ovrs.modeling.encoders.guidance.build_sam_encoder", lambda **_: build_sam_encoder(**sizes))
        ours = build_guidance("sam_vit_b", [1, 2, 3, "neck"]).eval()
    load_guidance(ours, str(path))
    return theirs, ours


@torch.no_grad()
def test_sam_at_its_native_size_is_segment_anything_s_block_by_block(sam):
    theirs, ours = sam
    image, blocks = torch.randn(2, 3, 96, 96), []
    hooks = [block.register_forward_hook(lambda _, __, out: blocks.append(out)) for block in theirs.blocks]
    neck = theirs(image)
    for hook in hooks:
        hook.remove()
    found = ours(image)  # other sums in another order: ovrs/modeling/encoders/sam_attention.py
    agrees(found["neck"], neck, 1e-5)
    for number, tokens in enumerate(blocks, start=1):
        agrees(found[number], tokens.permute(0, 3, 1, 2), 1e-5)


@pytest.mark.parametrize("height, width", [(6, 6), (5, 7), (9, 3)])
def test_sam_s_positions_relative_positions_and_padded_windows_are_the_plain_reference_s(sam, height, width):
    """6 x 6 is native; windows of 4 fit none of these grids, so that each is filled up at its border."""
    theirs, ours = sam
    image = torch.randn(1, 3, height * 16, width * 16)
    state = {name: value.double().numpy() for name, value in theirs.state_dict().items()}
    x = patches(image[0].double().numpy(), state["patch_embed.proj.weight"], state["patch_embed.proj.bias"])
    x = x + resized(state["pos_embed"][0], (height, width), "bicubic")
    found = ours(image)
    for number in (1, 2, 3):
        prefix = f"blocks.{number - 1}."
        block = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        x = sam_block(x, block, heads=2, window=0 if number == 2 else 4)
        agrees(found[number][0].permute(1, 2, 0), x)


@pytest.mark.parametrize("name, widths", [("sam_vit_b", 768), ("sam_vit_l", 1024), ("sam_vit_h", 1280)])
def test_sam_s_full_sizes_are_those_of_segment_anything_s_own_builders(name, widths):
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        theirs = sam_model_registry[name.removeprefix("sam_")]().image_encoder
        ours = build_guidance(name, [1, "neck"]).encoder
    assert {n: v.shape for n, v in ours.state_dict().items()} == {n: v.shape for n, v in theirs.state_dict().items()}
    assert [b.window_size for b in ours.blocks] == [b.window_size for b in theirs.blocks]
    assert theirs.pos_embed.shape == (1, 64, 64, widths) and len(theirs.blocks) == SAM_SIZES[name][0]
    assert [b.norm1.eps for b in ours.blocks] == [b.norm1.eps for b in theirs.blocks]


# ---------------------------------------------------------------------- SAM 2


@pytest.fixture(scope="module")
def sam2_file(tmp_path_factory):
    """A whole SAM 2 checkpoint in its published layout, random; its state dict and path."""
    path = tmp_path_factory.mktemp("sam2") / "sam2.1.pt"
    state = random_state(sam2(**TINY_HIERA))
    torch.save({"model": state}, path)
    return state, str(path)


@torch.no_grad()
@pytest.mark.parametrize("size", [(224, 224), (64, 160), (96, 32)])
def test_the_stages_of_sam_2_are_those_of_transformers(sam2_file, size):
    """At 224 every window fits; at the others those of the last two stages are filled up."""
    from transformers import Sam2HieraDetConfig
    from transformers.models.sam2.modeling_sam2 import Sam2HieraDetModel

    state, path = sam2_file
    config = Sam2HieraDetConfig(
        hidden_size=16,
        num_attention_heads=1,
        blocks_per_stage=[1, 2, 3, 2],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 14, 7],
        global_attention_blocks=[4],
        window_positional_embedding_background_size=[7, 7],
    )
    theirs = Sam2HieraDetModel(config).eval()
    trunk = {transformers_sam2(name): value for name, value in state.items() if "trunk" in name}
    theirs.load_state_dict(trunk, strict=True)
    with parameters_on_meta():
        ours = PyramidGuidance("tiny_hiera", [0, 1, 2, 3])
    load_guidance(ours, path)
    image = torch.randn(2, 3, *size)
    expected = theirs(image).intermediate_hidden_states
    for level, feature in ours.eval()(image).items():
        agrees(feature, expected[level].permute(0, 3, 1, 2))


@torch.no_grad()
@pytest.mark.parametrize("grid", [(56, 56), (8, 24), (16, 40)])
def test_sam_2_s_positions_are_a_resized_background_and_a_repeated_window(sam2_file, grid):
    encoder = PyramidGuidance("tiny_hiera", [0, 1])
    load_guidance(encoder, sam2_file[1])
    state = {name.removeprefix("image_encoder.trunk."): value.double().numpy() for name, value in sam2_file[0].items()}
    expected = resized(state["pos_embed"][0].transpose(1, 2, 0), grid, "bicubic")
    for y in range(grid[0]):
        for x in range(grid[1]):
            expected[y, x] += state["pos_embed_window"][0, :, y % 8, x % 8]
    agrees(encoder.encoder._pos_embed(torch.zeros(1, *grid, 16))[0], expected)


@pytest.mark.parametrize("name", SAM2_SIZES)
def test_every_name_of_the_published_trunk_has_its_place_and_no_place_stays_empty(name):
    """SAM 2 and 2.1 differ outside the trunk alone."""
    with torch.device("meta"):
        whole = timm.create_model(name)
        published = {key: torch.empty(shape) for key, shape in sam2(**SAM2_SIZES[name]).items()}
        guidance = build_guidance(f"timm:{name}", [0, 1, 2])
    found = {key: value.shape for key, value in under_timm_names(published, whole, "sam2.1.pt").items()}
    expected = {key: value.shape for key, value in whole.state_dict().items() if not key.startswith("head.")}
    assert found == expected
    assert guidance.stride == 32 and [guidance.channels[n] for n in (0, 1, 2)] == [
        SAM2_SIZES[name]["width"] * 2**n for n in range(3)
    ]
    windows = {"sam2_hiera_base_plus": {0, 8, 4, 14, 7}, "sam2_hiera_large": {0, 8, 4, 16}}
    assert {block.window_size[0] for block in whole.blocks} == windows[name]
    assert whole.blocks[0].norm1.eps == 1e-6


def test_a_sam_2_of_another_depth_is_refused_though_all_that_is_read_of_it_would_fit(sam2_file, tmp_path):
    deeper = {**TINY_HIERA, "stages": [1, 2, 4, 2]}
    torch.save({"model": random_state(sam2(**deeper))}, tmp_path / "deeper.pt")
    encoder = PyramidGuidance("tiny_hiera", [0, 1])
    with pytest.raises(WeightsError, match=r"deeper\.pt weights of tiny_hiera.*not of this model.*blocks\.8"):
        load_guidance(encoder, str(tmp_path / "deeper.pt"))
    with pytest.raises(WeightsError, match="missing"):
        load_guidance(PyramidGuidance("tiny_hiera_deeper", [0, 1, 2, 3]), sam2_file[1])


def test_a_neighbour_s_file_is_refused(sam2_file, sam, tmp_path):
    with pytest.raises(WeightsError, match="missing"):
        load_guidance(sam[1], sam2_file[1])
    torch.save({f"image_encoder.{name}": value for name, value in sam[0].state_dict().items()}, tmp_path / "sam.pth")
    with pytest.raises(WeightsError, match="missing"):
        load_guidance(PyramidGuidance("tiny_hiera", [0, 1]), str(tmp_path / "sam.pth"))
