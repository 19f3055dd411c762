"""Features kept on disk are the encoder's own, and are only used where they are those of this image and these weights."""

import logging

import pytest
import torch
from parts import tiny_aeroseg, tiny_rs_zeroseg, tiny_sam

from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.modeling.build import build_guidance_encoder
from ovrs.modeling.encoders.guidance import build_guidance
from ovrs.modeling.encoders.guidance_cache import CachedGuidance

FIXED_IMAGES = ["INPUT.CROP_SIZE", "0", "INPUT.FLIP", "False", "INPUT.COLOR_JITTER", "False"]
FIXED_IMAGES += ["INPUT.CROP_RARE", "0.0", "INPUT.SCALE_JITTER", "()"]


@pytest.fixture
def encoder():
    """A small SAM encoder that counts the images it has seen."""
    torch.manual_seed(0)
    sam = tiny_sam(layers=(1, 3, "neck"))
    sam.images = 0
    sam.register_forward_pre_hook(lambda module, inputs: setattr(module, "images", module.images + len(inputs[0])))
    return sam


@pytest.fixture
def images():
    return torch.randn(3, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def learning(encoder, folder, precision="fp32"):
    return CachedGuidance(encoder, folder, precision).train()


def same(one, other, tolerance=0.0):
    assert list(one) == list(other)
    for layer in one:
        torch.testing.assert_close(one[layer], other[layer], rtol=tolerance, atol=tolerance)


def files(folder):
    return sorted(folder.glob("*/*"))


def test_features_are_the_same_with_and_without_and_computed_once(encoder, images, tmp_path):
    plain = encoder(images)
    cached = learning(encoder, tmp_path)
    encoder.images = 0
    same(cached(images), plain)
    assert encoder.images == 3 and len(files(tmp_path)) == 3
    same(cached(images), plain)
    same(learning(encoder, tmp_path)(images.flip(0)), {layer: value.flip(0) for layer, value in plain.items()})
    assert encoder.images == 3, "the second time and another training read them"
    assert not any(value.requires_grad for value in cached(images).values())
    assert (cached.hits, cached.misses) == (6, 3) and cached.bytes_per_image == files(tmp_path)[0].stat().st_size


def test_only_what_is_new_in_a_batch_is_computed(encoder, images, tmp_path):
    plain = encoder(images)
    cached = learning(encoder, tmp_path)
    cached(images[1:2])
    encoder.images = 0
    same(cached(images), plain, tolerance=1e-5)  # a batch of another size rounds otherwise
    assert encoder.images == 2


def test_other_weights_layers_sizes_and_arithmetic_have_other_keys(encoder, images, tmp_path):
    learning(encoder, tmp_path)(images)
    with torch.no_grad():
        encoder.encoder.blocks[0].mlp.lin1.bias[0] += 1e-3
    changed = learning(encoder, tmp_path)
    same(changed(images), encoder(images))
    assert len(files(tmp_path)) == 6
    changed(images[:, :, :48])
    with torch.autocast("cpu", torch.bfloat16):
        narrow = changed(images)
        assert {value.dtype for value in narrow.values()} == {value.dtype for value in encoder(images).values()}
        same(changed(images), narrow)
    learning(tiny_sam(layers=(1, 2, 3)), tmp_path)(images)
    learning(encoder, tmp_path, "fp16")(images)
    assert len(files(tmp_path)) == 18
    encoder.unit_variance = True
    same(learning(encoder, tmp_path)(images), encoder(images))
    assert len(files(tmp_path)) == 21


def test_weights_loaded_into_a_wrapped_encoder_are_noticed(encoder, images, tmp_path):
    cached = learning(encoder, tmp_path)
    cached(images)
    torch.manual_seed(5)
    other = tiny_sam(layers=(1, 3, "neck"))
    cached.load_state_dict(other.state_dict())
    same(cached(images), other(images))


@pytest.mark.parametrize("harm", ["truncated", "empty", "flipped bit", "another layer list"])
def test_a_damaged_file_is_computed_again_with_a_warning(encoder, images, tmp_path, harm, caplog):
    plain = encoder(images)
    learning(encoder, tmp_path)(images)
    victim = files(tmp_path)[1]
    content = bytearray(victim.read_bytes())
    if harm == "flipped bit":
        content[-40] ^= 4
    elif harm == "another layer list":
        content = content.replace(b'"neck"', b'"nick"')
    victim.write_bytes(content[: len(content) // 2] if harm == "truncated" else b"" if harm == "empty" else content)
    encoder.images = 0
    with caplog.at_level(logging.WARNING):
        same(learning(encoder, tmp_path)(images), plain, tolerance=1e-5)
    assert encoder.images == 1 and victim.name in caplog.text and "computed again" in caplog.text
    caplog.clear()
    learning(encoder, tmp_path)(images)
    assert encoder.images == 1 and not caplog.text, "the file is whole again"


def test_half_precision_takes_half_the_disk_and_rounds_the_first_time_too(encoder, images, tmp_path):
    plain = encoder(images)
    learning(encoder, tmp_path / "whole")(images)
    cached = learning(encoder, tmp_path / "half", "fp16")
    first, second = cached(images), cached(images)
    same(first, second)
    same(first, plain, tolerance=2e-3)
    assert {value.dtype for value in first.values()} == {torch.float32}
    assert files(tmp_path / "half")[0].stat().st_size < 0.55 * files(tmp_path / "whole")[0].stat().st_size


def test_what_half_precision_cannot_hold_stays_whole(encoder, images, tmp_path):
    with torch.no_grad():
        encoder.encoder.neck[3].weight.fill_(1e6)
    cached = learning(encoder, tmp_path, "fp16")
    cached(images)
    assert all(value.isfinite().all() for value in cached(images).values())


def test_evaluation_and_measuring_go_past_it(encoder, images, tmp_path):
    cached = CachedGuidance(encoder, tmp_path).eval()
    same(cached(images), encoder(images))
    cached.train()
    cached.bypassed = True
    same(cached(images), encoder(images))
    assert not files(tmp_path) and not encoder.training


def test_a_full_disk_does_not_stop_the_training(encoder, images, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where a folder should be")
    cached = learning(encoder, tmp_path / "cache")
    same(cached(images), encoder(images))
    assert caplog.text.count("no more guidance features are kept") == 1


def test_checkpoints_are_the_same_with_and_without(encoder, tmp_path):
    assert list(CachedGuidance(encoder, tmp_path).state_dict()) == list(encoder.state_dict())
    pyramid = build_guidance("timm:resnet10t", [1, 2, 3])
    assert list(CachedGuidance(pyramid, tmp_path).state_dict()) == list(pyramid.state_dict())


def test_an_encoder_that_trains_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="GUIDANCE.TRAIN to freeze"):
        CachedGuidance(tiny_sam(train="full"), tmp_path)


def test_the_configuration_wraps_it_where_images_are_always_the_same(tmp_path):
    cache = ["MODEL.GUIDANCE.CACHE", str(tmp_path), "MODEL.GUIDANCE.TRAIN", "freeze"]
    built = build_guidance_encoder(load_config("mini", [*cache, *FIXED_IMAGES, "INPUT.QUARTER_TURNS", "False"]))
    assert isinstance(built, CachedGuidance)
    assert not isinstance(build_guidance_encoder(load_config("mini")), CachedGuidance)
    with pytest.raises(ConfigError, match="INPUT asks for RandomQuarterTurn;"):
        build_guidance_encoder(load_config("mini", [*cache, *FIXED_IMAGES, "INPUT.QUARTER_TURNS", "True"]))
    jitter = ["INPUT.QUARTER_TURNS", "False", "INPUT.MIN_SIZE_TRAIN", "(128, 192)"]
    with pytest.raises(ConfigError, match="ResizeShortestEdge"):
        build_guidance_encoder(load_config("mini", [*cache, *FIXED_IMAGES, *jitter]))


def step_of(model):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=generator).float()
    target = torch.randint(0, 3, (2, 32, 32), generator=generator)
    losses = model.losses(images, model.text_features(["a", "b", "c"]), target)
    sum(losses.values()).backward()
    return {name: loss.detach() for name, loss in losses.items()}


def test_aeroseg_reads_guidance_once_an_image_whatever_the_rotations_and_keeps_no_graph(encoder):
    encoder.layers, encoder.channels = (1, 2, 3), dict.fromkeys((1, 2, 3), 16)
    given = []
    encoder.register_forward_hook(lambda module, inputs, output: given.extend(output.values()))
    step_of(tiny_aeroseg(guidance_encoder=encoder).train())
    assert encoder.images == 2, "two images, four rotations"
    assert len(given) == 3 and not any(value.requires_grad for value in given)
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize(("system", "layers"), [(tiny_aeroseg, (1, 2, 3)), (tiny_rs_zeroseg, (3,))])
def test_a_training_step_is_the_same_from_the_cache(encoder, tmp_path, system, layers):
    encoder.layers, encoder.channels = layers, dict.fromkeys(layers, 16)
    steps = []
    for guidance in (encoder, learning(encoder, tmp_path), learning(encoder, tmp_path)):
        model = system(guidance_encoder=guidance).train()
        losses = step_of(model)
        steps.append((losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
    assert encoder.images == 4
    for other in steps[1:]:
        torch.testing.assert_close(other, steps[0], rtol=0, atol=0)
