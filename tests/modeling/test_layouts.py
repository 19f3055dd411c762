"""Published layouts there and back bit for bit, ViT-L's too, and starting AerOSeg from CAT-Seg."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.errors import WeightsError
from ovrs.modeling.blocks.cost_volume import CostEmbedding
from ovrs.modeling.blocks.spatial_refinement import GuidedWindowAttention
from ovrs.modeling.blocks.upsampling import UpsamplingDecoder
from ovrs.modeling.checkpoints import load_weights
from ovrs.modeling.initialisation import initialise, spread_kernel
from ovrs.modeling.layouts import differences, from_layout, shifted_mask, to_layout
from ovrs.modeling.published.table import PUBLISHED
from ovrs.modeling.weights_files import read_metadata, read_state_dict, write_state_dict

PARTS = ("channel", "spatial")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "modeling")]

import convert_checkpoint  # noqa: E402
from parts import randomize, tiny_aeroseg  # noqa: E402


def on_meta(config, options=()):
    cfg = load_config(str(ROOT / "configs" / config), ["MODEL.DEVICE", "meta", "DATASETS.TRAIN", "()", *options])
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).state_dict()


def tiny_catseg(**changes):
    arguments = {
        "guidance": "clip",
        "rotations": (0,),
        "templates": ("a {}",),
        "cost_embedding": CostEmbedding(channels=1, dim=32),
        "decoder": UpsamplingDecoder(dim=32, dims=[16, 16], guidance_dims=[8, 8], attention=False),
    }
    return randomize(tiny_aeroseg(**{**arguments, "back_projection": None, **changes}), seed=5)


@pytest.mark.parametrize("layout", ["catseg", "ovrs"])
def test_the_vit_l_settings_have_the_published_shapes(layout):
    ours = on_meta(f"baselines/{layout}_vitl14.yaml")
    theirs = to_layout(ours, layout)
    head = "sem_seg_head.predictor."
    expected = {
        "upsample1.weight": (1024, 256, 2, 2),
        "upsample2.weight": (1024, 128, 4, 4),
        head + "transformer.conv1.weight": (128, 4 if layout == "ovrs" else 1, 7, 7),
        head + "transformer.guidance_projection.0.weight": (128, 768, 3, 3),
        head + "transformer.text_guidance_projection.0.weight": (128, 768),
        head + "clip_model.visual.conv1.weight": (1024, 3, 14, 14),
        head + "clip_model.visual.positional_embedding": (577, 1024),
        head + "transformer.layers.1.swin_block.block_2.attn_mask": (4, 144, 144),
    }
    assert {name: tuple(theirs[name].shape) for name in expected} == expected
    back = from_layout(theirs, layout)
    assert {name: value.shape for name, value in back.items()} == {name: value.shape for name, value in ours.items()}


def test_the_stored_mask_is_that_of_shifted_windows():
    attention = GuidedWindowAttention(dim=4, guidance_dim=0, heads=1, window=12, shift=6)
    ours = attention._make_mask(24, 24, (12, 12), (6, 6), torch.device("cpu"))
    assert torch.equal(shifted_mask(), ours[0].clamp(min=-100))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_converter_goes_there_and_back_bit_for_bit(tmp_path, capsys, dtype):
    state = {name: value.to(dtype) for name, value in tiny_catseg().state_dict().items()}
    state["decoder.head.bias"] = torch.tensor([-0.0], dtype=dtype)
    write_state_dict(state, tmp_path / "ours.safetensors")
    there = [str(tmp_path / "ours.safetensors"), str(tmp_path / "theirs.pth"), "--to", "catseg", "--check"]
    assert convert_checkpoint.main(there) == 0
    back = [str(tmp_path / "theirs.pth"), str(tmp_path / "back.safetensors"), "--layout", "catseg", "--check"]
    assert convert_checkpoint.main(back) == 0
    assert capsys.readouterr().out.count("equal bit for bit") == 2
    assert not differences(state, read_state_dict(tmp_path / "back.safetensors"))
    stored = torch.load(tmp_path / "theirs.pth", weights_only=True)
    assert set(stored) == {"model"} and "upsample1.weight" in stored["model"]


def test_a_fetched_checkpoint_is_converted_by_its_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OVRS_CACHE", str(tmp_path))
    target = str(tmp_path / "ours.safetensors")
    assert convert_checkpoint.main(["catseg/ViT-B-16", target, "--layout", "catseg"]) == 2
    assert "python -m ovrs.weights fetch catseg/ViT-B-16" in capsys.readouterr().err
    torch.save({"model": to_layout(tiny_catseg().state_dict(), "catseg")}, tmp_path / PUBLISHED["catseg/ViT-B-16"].file)
    assert convert_checkpoint.main(["catseg/ViT-B-16", target, "--layout", "catseg"]) == 0
    assert set(read_state_dict(target)) == set(tiny_catseg().state_dict())


def test_a_name_of_no_layout_is_said_with_its_file(tmp_path, capsys):
    torch.save({"a.weight": torch.zeros(1)}, tmp_path / "x.pth")
    assert convert_checkpoint.main([str(tmp_path / "x.pth"), str(tmp_path / "y.safetensors"), "--layout", "catseg"]) == 2
    assert f"{tmp_path / 'x.pth'}: a.weight: not a name of the catseg layout" in capsys.readouterr().err


def test_differences_are_found():
    one = {"a": torch.zeros(2), "b": torch.ones(1), "c": torch.ones(1)}
    other = {"a": -torch.zeros(2), "b": torch.ones(1).half(), "d": torch.ones(1)}
    assert differences(one, other) == ["a", "b", "c", "d"] and not differences(one, dict(one))


def test_a_mask_that_is_not_theirs_is_reported(tmp_path, capsys):
    state = to_layout(tiny_catseg().state_dict(), "catseg")
    name = next(name for name in state if name.endswith("attn_mask"))
    torch.save({**state, name: state[name] + 1}, tmp_path / "x.pth")
    assert (
        convert_checkpoint.main([str(tmp_path / "x.pth"), str(tmp_path / "y.safetensors"), "--layout", "catseg", "--check"])
        == 2
    )
    assert name in capsys.readouterr().err and not (tmp_path / "y.safetensors").exists()


def test_what_the_layout_has_no_place_for_is_refused():
    with pytest.raises(WeightsError, match="guidance_encoder"):
        to_layout(tiny_aeroseg().state_dict(), "catseg")


def test_the_published_aeroseg_starts_from_catseg():
    own, source = on_meta("aeroseg/aeroseg_vitb16_saml.yaml"), on_meta("baselines/catseg_vitb16.yaml")
    result = initialise(own, source)
    assert result.state.keys() == own.keys()
    assert list(result.adapted) == ["cost_embedding.conv.weight"]
    assert {name for name in result.left if not name.startswith("guidance_encoder.")} == {
        "spatial_guidance.conv.weight",
        *(f"decoder_guidance.{stage}.conv.weight" for stage in (0, 1)),
        *(
            f"decoder.stages.{i}.{part}_weight.{kind}"
            for i in (0, 1)
            for part in ("channel", "spatial")
            for kind in ("weight", "bias")
        ),
    }
    assert all(name in result.fits for name in own if name.startswith(("refinement.", "vision_language.", "text_guidance.")))
    assert all(name.startswith("decoder_guidance.") and ".upsample." in name for name in result.unused)
    text = "\n".join(result.report())
    assert "adapted: cost_embedding.conv.weight (1 -> 16 channels, the kernel repeated / 16)" in text
    assert "128 x 1024 x 3 x 3 instead of 128 x 512 x 3 x 3" in text


def test_equal_cost_channels_give_the_embedding_of_one():
    torch.manual_seed(0)
    one, many = CostEmbedding(channels=1, dim=8, kernel=7).double(), CostEmbedding(channels=16, dim=8, kernel=7).double()
    many.load_state_dict({"conv.weight": spread_kernel(one.conv.weight, 16), "conv.bias": one.conv.bias})
    cost = torch.randn(2, 1, 3, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(many(cost.expand(-1, 16, -1, -1, -1)), one(cost), rtol=0, atol=1e-14)
    different = torch.randn(2, 16, 3, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(many(different), one(different.mean(dim=1, keepdim=True)), rtol=0, atol=1e-14)


def test_ovrs_rotations_keep_their_channels():
    kernel = torch.arange(4.0).view(1, 4, 1, 1)  # one channel a rotation; four prompts inside each
    assert spread_kernel(kernel, 16).flatten().tolist() == [rotation / 4 for rotation in range(4) for _ in range(4)]
    assert spread_kernel(torch.zeros(1, 3, 1, 1), 16) is None


def test_all_that_fits_reproduces_the_source():
    """With four prompts that are one, and CAT-Seg's own guidance and decoder, the start gives CAT-Seg's scores."""
    source = tiny_catseg().eval()
    target = tiny_aeroseg(
        guidance="clip",
        rotations=(0,),
        templates=("a {}",) * 4,
        cost_embedding=CostEmbedding(channels=4, dim=32),
        decoder=UpsamplingDecoder(dim=32, dims=[16, 16], guidance_dims=[8, 8], attention=False),
        back_projection=None,
        seed=9,
    ).eval()
    result = initialise(target.state_dict(), source.state_dict())
    assert not result.left and list(result.adapted) == ["cost_embedding.conv.weight"]
    target.load_state_dict(result.state)
    images = torch.rand(1, 3, 32, 48) * 255
    with torch.no_grad():
        ours, theirs = (model.logits(images, model.text_features(["ship", "bridge"])) for model in (target, source))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_the_start_is_a_whole_file_that_says_what_came_from_where(tmp_path):
    """The command, on the small system: nothing of it is CAT-Seg's size, so all but the report is as built."""
    torch.save({"model": to_layout(tiny_catseg().state_dict(), "catseg")}, tmp_path / "theirs.pth")
    config = str(ROOT / "configs" / "mini" / "aeroseg.yaml")
    target = tmp_path / "start.safetensors"
    command = [ROOT / "tools" / "convert_checkpoint.py", tmp_path / "theirs.pth", target, "--layout", "catseg"]
    # A process of its own: the command must know the systems by itself.
    run = subprocess.run(
        [sys.executable, *map(str, command), "--for-config", config],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "left as built: refinement" in run.stdout and f"tensors come from {tmp_path / 'theirs.pth'}" in run.stdout
    about = read_metadata(target)
    assert "left as built" in about["origin"] and "META_ARCHITECTURE: AerOSeg" in about["architecture"]
    cfg = load_config(config, ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "DATASETS.TRAIN", "()"])
    load_weights(META_ARCH_REGISTRY.get("AerOSeg")(cfg), target)
