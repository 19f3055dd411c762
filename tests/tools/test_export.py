"""Exports for a fixed vocabulary give PyTorch's scores, at sizes that the example did not have."""

import gc
import json
import sys
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from timm.layers import Conv2dSame

from ovrs.errors import OutputError
from ovrs.inference import exporting
from ovrs.inference.fixed_vocabulary import EvenlyPadded, FixedVocabulary, _evenly_padded
from ovrs.modeling.blocks.class_refinement import ClassRefinement
from ovrs.modeling.blocks.cost_volume import CostEmbedding
from ovrs.modeling.blocks.refinement import RefinementBlock
from ovrs.modeling.blocks.spatial_refinement import SpatialRefinement
from ovrs.modeling.encoders.backbones import BackboneStem
from ovrs.vocabulary import Background, Vocabulary

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "modeling"), str(ROOT / "tests" / "configs")]

import export  # noqa: E402
from parts import randomize, tiny_aeroseg, tiny_rs_zeroseg, tiny_sam, tiny_vision_language  # noqa: E402
from shrunk import narrow_encoders, shrunk_config  # noqa: E402, F401 - a fixture

VOCABULARY = Vocabulary.parse("ship|boat, bridge, water").with_background(Background("threshold", threshold=0.4))


def tiny(**changes):
    block = RefinementBlock(
        spatial=SpatialRefinement(dim=32, guidance_dim=16, heads=2, window=2),
        classes=ClassRefinement(dim=32, text_dim=16, heads=2, padding=12),
    )
    settings = {
        "vision_language": tiny_vision_language(taps=(1, 1), layers=2),
        "rotations": (0, 1),
        "cost_embedding": CostEmbedding(channels=8, dim=32, kernel=3),
        "guidance": "clip",
        "refinement": torch.nn.ModuleList([block]),
        "back_projection": None,
        "max_classes": 3,
        "class_chunk": 0,
    }
    return randomize(tiny_aeroseg(**{**settings, **changes}), seed=3).eval()


def expected(model, image):
    with torch.no_grad():
        return model.scores(image, VOCABULARY).sigmoid()


@pytest.fixture(scope="module", autouse=True)
def rare_collection():
    """Tracers make many small objects, and collecting garbage among them takes a fifth of their time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 50)
    yield
    gc.set_threshold(*before)


@pytest.fixture(scope="module")
def traced():
    model = tiny()
    module = FixedVocabulary(model, VOCABULARY)
    return model, module, exporting.trace(module, (40, 48))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_written_file_gives_the_scores_of_pytorch_at_other_sizes(traced, tmp_path, monkeypatch, suffix):
    if suffix == ".onnx":
        for name in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(name)
    model, module, exported = traced
    read, read_back = [], exporting._runner
    monkeypatch.setattr(exporting, "_runner", lambda path: read.append(read_back(path)) or read[-1])  # reading takes seconds
    path = tmp_path / "new" / f"harbour{suffix}"
    exporting.write(exported, module, path, export.describe(module, 0.5))
    (run,) = read
    assert not exported.fixed and module.multiple() == 16
    for size in ((48, 48), (64, 32), (32, 96)):
        image = exporting.picture(size, 1)
        torch.testing.assert_close(run(image), expected(model, image), rtol=0, atol=1e-5)
    about = json.loads(path.with_suffix(".json").read_text())
    assert [entry["name"] for entry in about["classes"]] == ["ship", "bridge", "water", "background"]
    assert about["classes"][0]["words"] == ["ship", "boat"] and about["input"]["metres_a_pixel"] == 0.5
    assert about["sizes"]["height"] == {"multiple_of": 16, "least": 32, "most": exporting.LARGEST}
    assert max(about["agreement"]["error"].values()) < exporting.TOLERANCE
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix != ".data") == sorted([path.name, "harbour.json"])


def test_the_module_is_the_model_and_leaves_it_as_it_was():
    model = tiny()
    image = exporting.picture((32, 48), 2)
    before = expected(model, image)
    module = FixedVocabulary(model, VOCABULARY)
    torch.testing.assert_close(module(image), before)
    assert module(image).shape == (2, 4, 16, 24) and not any("text_tower" in name for name in module.state_dict())
    assert FixedVocabulary(model, VOCABULARY, full_size=True)(image).shape == (2, 4, 32, 48)
    torch.testing.assert_close(expected(model, image), before)


def test_sam_keeps_the_size_that_it_sees_and_says_why():
    assert "SAM" in FixedVocabulary(tiny(guidance="sam"), VOCABULARY).why_fixed()
    for squeezed in ({"guidance_size": 64}, {"fixed_size": 64}):
        assert not FixedVocabulary(tiny(guidance="sam", **squeezed), VOCABULARY).why_fixed()
    assert "SAM" in FixedVocabulary(tiny_rs_zeroseg(guidance_encoder=tiny_sam(layers=(3,))).eval(), VOCABULARY).why_fixed()


def test_rs_zeroseg_takes_other_sizes_as_long_as_its_coarsest_grid_is_whole():
    model = randomize(tiny_rs_zeroseg(), seed=3).eval()
    module = FixedVocabulary(model, VOCABULARY)
    exported = exporting.trace(module, (40, 48))
    assert not exported.fixed and exported.size == (48, 48) and module.multiple() == 16  # patches of 8, half a grid of them
    assert not any(name.startswith("system.text_projection") for name in module.state_dict())
    run = exported.program.module()
    for size in ((48, 48), (64, 32), (32, 96)):
        image = exporting.picture(size, 1)
        torch.testing.assert_close(run(image), expected(model, image), rtol=0, atol=1e-6)


def test_catseg_as_published_squeezes_images_of_any_size(narrow_encoders):  # noqa: F811
    model = build_model(shrunk_config(ROOT / "configs" / "baselines" / "catseg_vitb16.yaml")).eval()
    exported = exporting.trace(FixedVocabulary(model, VOCABULARY), (60, 80))
    run = exported.program.module()
    assert not exported.fixed and exported.size == (60, 80)
    for size in ((96, 96), (131, 77)):
        image = exporting.picture(size, 1)
        torch.testing.assert_close(run(image), expected(model, image), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), ((5, 2), 2, 1), (3, (2, 1), 2), (1, 2, 1)])
def test_even_padding_is_tensorflows_at_multiples_of_the_stride(kernel, stride, dilation):
    conv = randomize(Conv2dSame(4, 6, kernel, stride=stride, dilation=dilation, groups=2))
    even = EvenlyPadded(conv)
    for size in ((8, 8), (2, 12), (30, 4)):
        x = torch.randn(2, 4, *size)
        assert torch.equal(even(x), conv(x))


def test_even_padding_leaves_the_sides_open():
    half = torch.export.Dim("half", min=2, max=64)
    conv, x = Conv2dSame(3, 4, 3, stride=2), torch.randn(1, 3, 20, 8)
    program = torch.export.export(EvenlyPadded(conv), (torch.randn(1, 3, 8, 8),), dynamic_shapes=({2: 2 * half},))
    assert torch.equal(program.module()(x), conv(x))


def test_a_backbone_is_exchanged_in_the_copy_alone():
    stem = BackboneStem("tf_efficientnet_lite0", 8, 16).eval()
    even = _evenly_padded(stem)
    x = torch.randn(1, 3, 48, 80)
    with torch.no_grad():
        assert torch.equal(even(x), stem(x))
    assert any(isinstance(part, Conv2dSame) for part in stem.modules())
    assert not any(isinstance(part, Conv2dSame) for part in even.modules())
    assert {p.data_ptr() for p in even.parameters()} == {p.data_ptr() for p in stem.parameters()}


def test_nothing_is_written_that_does_not_agree(tmp_path, monkeypatch):
    module = FixedVocabulary(tiny(), VOCABULARY)
    program = type("Program", (), {"example_inputs": ((exporting.picture((32, 32), 1),), {})})()
    monkeypatch.setattr(torch.export, "save", lambda program, path: Path(path).write_bytes(b"x"))
    monkeypatch.setattr(exporting, "_runner", lambda path: lambda image: module(image) * 0.9)
    with pytest.raises(OutputError, match="differ from PyTorch's"):
        exporting.write(exporting.Exported(program, (32, 32), "as asked"), module, tmp_path / "x.pt2", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vocab", "ship", "--output", "x.bin"], ".onnx or .pt2"),
        (["--vocab", "ship", "--output", "x.pt2", "--weights", "none.pth"], "none.pth"),
        (["--vocab", "ship", "--output", "x.pt2", "--batch", "0"], "--batch"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert export.main(arguments) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())
