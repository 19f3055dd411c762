"""A small image tower as a guidance encoder: its layers, what of it trains, and where its weights come from."""

import pytest
import torch
from torch import nn

from ovrs.config import load_config
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.build import build_guidance_encoder
from ovrs.modeling.encoders.backbones import read_levels
from ovrs.modeling.encoders.small import build_small, build_small_tower
from ovrs.modeling.encoders.tower_guidance import TowerGuidance
from ovrs.modeling.pretrained import load_guidance
from ovrs.modeling.weights_files import write_state_dict

SIZES = {"image_size": 64, "patch": 16, "width": 48, "layers": 3, "heads": 2, "dim": 32}
STEM = "timm:tf_efficientnet_lite0"
CHANNELS = {1: 24, 2: 40, 3: 112, "dense": 32}


def tower(layers=(1, 2, "dense"), seed=0):
    torch.manual_seed(seed)
    return TowerGuidance(build_small_tower(**SIZES, stem=STEM), layers)


@torch.no_grad()
@pytest.mark.parametrize("layers", [(1, 2, "dense"), ("dense", 3), (2,), (1, 2, "dense", "dense")])
def test_layers_are_the_backbone_s_levels_and_the_tower_s_embeddings(layers):
    encoder = tower(layers).eval()
    assert encoder.layers == layers and encoder.channels == {layer: CHANNELS[layer] for layer in layers}
    images = torch.randn(2, 3, 64, 96)
    found = encoder(images)
    assert found.keys() == set(layers)
    for layer in layers:
        if layer == "dense":
            expected = encoder.tower(images).dense
        else:
            (expected,) = read_levels(
                encoder.tower.conv1.backbone, images.contiguous(memory_format=torch.channels_last), [layer]
            )
        assert expected.shape[1] == encoder.channels[layer]
        torch.testing.assert_close(found[layer], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [(1, "dense"), (1, 3), (2,)])
def test_what_no_layer_depends_on_never_trains_and_all_else_does(layers):
    encoder = tower(layers)
    encoder.set_trainable("full")
    for name, parameter in encoder.train().named_parameters():
        if name.endswith(("attn.v_proj_weight", "attn.q_proj_weight")):
            nn.init.normal_(parameter, std=0.2)
    sum(value.square().mean() for value in encoder(torch.randn(2, 3, 64, 64)).values()).backward()
    reached = {name for name, p in encoder.named_parameters() if p.grad is not None}
    chosen = {name for name, p in encoder.named_parameters() if p.requires_grad}
    if 3 in layers or "dense" in layers:
        assert reached == chosen
    else:  # the backbone goes as deep as the tower stands
        assert reached < chosen and all(name.startswith("tower.conv1.backbone.") for name in chosen)


def test_frozen_as_it_comes_from_a_configuration():
    options = ["MODEL.GUIDANCE.NAME", "small", "MODEL.GUIDANCE.LAYERS", "[1, 2, 'dense']", "MODEL.GUIDANCE.WEIGHTS", ""]
    encoder = build_guidance_encoder(load_config("mini", options))
    assert isinstance(encoder, TowerGuidance) and encoder.frozen and encoder.unit_variance
    assert not encoder.train().training
    (features, *_) = encoder(torch.randn(1, 3, 64, 64)).values()
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(1, 16, 16), atol=1e-4, rtol=0)


def test_weights_come_out_of_a_system_s_file(tmp_path):
    torch.manual_seed(1)
    system = nn.Module()
    system.vision_language = build_small(**SIZES, stem=STEM)
    write_state_dict(system.state_dict(), tmp_path / "system.safetensors")
    encoder = tower()
    load_guidance(encoder, str(tmp_path / "system.safetensors"))
    theirs = system.vision_language.visual.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in encoder.tower.state_dict().items())


def test_the_shipped_weights_hold_the_tower_of_the_small_aeroseg():
    options = ["MODEL.GUIDANCE.NAME", "small", "MODEL.GUIDANCE.LAYERS", "[1, 2, 'dense']"]
    cfg = load_config("mini", [*options, "MODEL.GUIDANCE.WEIGHTS", "configs/mini/aeroseg.safetensors"])
    encoder = build_guidance_encoder(cfg)
    assert encoder.tower.dim == 192 and all(parameter.isfinite().all() for parameter in encoder.parameters())


def test_weights_without_a_tower_and_layers_that_do_not_exist_are_refused(tmp_path):
    write_state_dict({"decoder.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other.safetensors: holds no vision_language.visual"):
        load_guidance(tower(), str(tmp_path / "other.safetensors"))
    with pytest.raises(ConfigError, match="layer 4: levels 0 to 3 or 'dense' exist"):
        tower((1, 4))
    with pytest.raises(ConfigError, match="by its backbone"):
        TowerGuidance(build_small_tower(**SIZES), ["dense"])
