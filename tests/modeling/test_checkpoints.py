"""Weights are read safely, loaded only where they fit, and written whole or not at all."""

import pickle

import pytest
import torch
from parts import tiny_aeroseg, tiny_sam

from ovrs.errors import OutputError, WeightsError
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.checkpoints import load_vision_language, load_weights
from ovrs.modeling.encoders.backbones import build_backbone
from ovrs.modeling.encoders.published_names import split_fused_attention
from ovrs.modeling.fitting import load_state_dict
from ovrs.modeling.pretrained import load_backbone, load_guidance
from ovrs.modeling.weights_files import read_metadata, read_state_dict, write_state_dict


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_model_comes_back_from_its_file_with_its_metadata(tmp_path):
    model = tiny_aeroseg(seed=1)
    write_state_dict(model.state_dict(), tmp_path / "a" / "m.safetensors", {"data": "scenes"})
    other = tiny_aeroseg(seed=2)
    load_weights(other, tmp_path / "a" / "m.safetensors")
    assert same(model.state_dict(), other.state_dict())
    assert read_metadata(tmp_path / "a" / "m.safetensors") == {"data": "scenes"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["m.safetensors"]


def test_weights_trained_on_another_class_list_load(tmp_path):
    model = tiny_aeroseg(back_projection=SemanticBackProjection(classes=9, dim=32, hidden=[16, 16], target_dim=16))
    write_state_dict(model.state_dict(), tmp_path / "m.safetensors")
    for back in (None, SemanticBackProjection(classes=4, dim=32, hidden=[16, 16], target_dim=16)):
        other = tiny_aeroseg(seed=5, back_projection=back)
        load_weights(other, tmp_path / "m.safetensors")
        assert torch.equal(other.decoder.head.weight, model.decoder.head.weight)


def test_half_precision_weights_are_widened(tmp_path):
    model = tiny_aeroseg(seed=1)
    write_state_dict({name: value.half() for name, value in model.state_dict().items()}, tmp_path / "m.safetensors")
    other = tiny_aeroseg(seed=2)
    load_weights(other, tmp_path / "m.safetensors")
    assert other.decoder.head.weight.dtype == torch.float32
    torch.testing.assert_close(other.decoder.head.weight, model.decoder.head.weight, rtol=1e-3, atol=1e-4)


def test_what_does_not_fit_is_listed():
    model = tiny_aeroseg()
    state = dict(model.state_dict())
    state["decoder.head.weight"] = torch.zeros(2, 2)
    state["stranger"] = state.pop("decoder.head.bias")
    with pytest.raises(WeightsError) as raised:
        load_state_dict(model, state, "file.pth")
    text = str(raised.value)
    assert text.startswith("file.pth: does not fit")
    assert "1 missing (decoder.head.bias)" in text and "1 not of this model (stranger)" in text
    assert "decoder.head.weight is (2, 2) in the file, (1, 16, 3, 3) in the model" in text


def test_nothing_that_could_run_code_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    for name in ("trap.pth", "trap.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps({"model": Trap()}))
        with pytest.raises(WeightsError, match=name):
            read_state_dict(tmp_path / name)
    (tmp_path / "cut.safetensors").write_bytes(b"\x00\x01")
    with pytest.raises(WeightsError, match=r"cut\.safetensors: not readable as safetensors"):
        read_state_dict(tmp_path / "cut.safetensors")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "list.pth")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_state_dict({"x": torch.zeros(1)}, tmp_path / "file" / "m.safetensors")
    with pytest.raises(OutputError, match=r"m\.pth: weights are written as safetensors"):
        write_state_dict({"x": torch.zeros(1)}, tmp_path / "m.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_sam_is_read_from_a_whole_published_checkpoint(tmp_path):
    source, target = tiny_sam(), tiny_sam()
    state = {f"image_encoder.{name}": value for name, value in source.encoder.state_dict().items()}
    torch.save({**state, "prompt_encoder.not_needed": torch.zeros(3)}, tmp_path / "sam.pth")
    load_guidance(target, str(tmp_path / "sam.pth"))
    assert same(source.encoder.state_dict(), target.encoder.state_dict())


def test_clip_is_read_under_its_own_names_with_fused_attention(tmp_path):
    import open_clip

    from ovrs.modeling.encoders.clip_image import ClipImage
    from ovrs.modeling.encoders.text import ClipText
    from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder

    sizes = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
    }
    source, copy = open_clip.CLIP(**sizes), open_clip.CLIP(**sizes)
    torch.save(source.state_dict(), tmp_path / "clip.pt")
    text = ClipText(copy, lambda texts: torch.ones(len(texts), 8).long())
    encoder = VisionLanguageEncoder(visual=ClipImage(copy.visual), text=text)
    load_vision_language(encoder, tmp_path / "clip.pt")
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder.global_embedding(image), source.eval().encode_image(image), rtol=1e-5, atol=1e-5)
    # What open_clip's own training leaves after several GPUs: SkyCLIP comes like this.
    wrapped = {f"module.{name}": value for name, value in source.state_dict().items()}
    torch.save({"epoch": 20, "name": "run", "state_dict": wrapped, "optimizer": {"state": {}}}, tmp_path / "epoch_20.pt")
    loaded = {name: value.clone() for name, value in encoder.state_dict().items()}
    torch.nn.init.zeros_(encoder.visual.proj)
    load_vision_language(encoder, tmp_path / "epoch_20.pt")
    assert same(encoder.state_dict(), loaded)


def test_a_pyramid_is_read_from_a_whole_published_sam_2(tmp_path):
    name = "sam2_hiera_tiny"
    with torch.device("meta"):  # a cut of two stages, and nothing of the rest in memory
        source, target = (build_backbone(name, [0, 1]) for _ in range(2))
    expected = {key: torch.rand(value.shape) for key, value in source.state_dict().items()}
    published = {
        "image_encoder.trunk." + key.replace("mlp.fc1", "mlp.layers.0").replace("mlp.fc2", "mlp.layers.1"): value
        for key, value in expected.items()
    }
    assert any(".mlp.layers.0." in key for key in published) and any(".mlp.layers.1." in key for key in published)
    others = {"image_encoder.trunk.blocks.9.norm1.weight": torch.zeros(384), "memory_encoder.not_needed": torch.zeros(3)}
    torch.save({"model": {**published, **others}}, tmp_path / "sam2.pt")
    load_backbone(target.to_empty(device="cpu"), name, str(tmp_path / "sam2.pt"))
    assert same(target.state_dict(), expected)


def test_fused_projections_are_cut_in_the_order_query_key_value():
    fused = torch.arange(12.0).view(6, 2)
    split = split_fused_attention({"a.attn.in_proj_weight": fused, "a.attn.in_proj_bias": torch.zeros(6)})
    assert torch.equal(torch.cat([split[f"a.attn.{part}_proj_weight"] for part in "qkv"]), fused)
    assert "a.attn.in_proj_bias" in split
