"""The small model and its pre-training: real words, the real configuration, the path from one step to the next."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from open_clip.transformer import VisionTransformer
from parts import PATCH, tiny_vision_language

from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.modeling.checkpoints import load_vision_language, load_weights
from ovrs.modeling.dense_alignment import DenseAlignment
from ovrs.modeling.encoders.backbones import convolutional_stem
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.small import SmallVit, build_small
from ovrs.modeling.encoders.text import SentenceEncoder
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.weights_files import write_state_dict
from ovrs.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]


def tiny_alignment(supervision="pixel"):
    torch.manual_seed(0)
    return DenseAlignment(
        vision_language=tiny_vision_language("full"),
        templates=("{}", "a {}"),
        vision_normalization=PixelNormalization([120.0] * 3, [60.0] * 3),
        supervision=supervision,
    )


def test_bare_cosines_are_scored_at_four_to_a_patch_and_learn_two_halves_of_an_image():
    model = tiny_alignment()
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, :, 16:] = 220
    target = torch.zeros(32, 32, dtype=torch.long)
    target[:, 16:] = 1
    words = Vocabulary.parse("water,roof")
    entry = {"image": image, "sem_seg": target, "vocabulary": words}
    assert model.scores(image[None], words).shape == (1, 2, 32 // PATCH * 4, 32 // PATCH * 4)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    for _ in range(40):
        loss = model.train()([entry])["loss_align"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    (answer,) = model.eval()([entry])
    assert (answer["sem_seg"].argmax(0) == target).float().mean() > 0.9


def test_from_what_images_hold_patches_learn_which_of_them_it_is():
    model = tiny_alignment("image")
    words = Vocabulary.parse("water,roof")
    dark, bright = torch.zeros(3, 32, 32, dtype=torch.uint8), torch.full((3, 32, 32), 220, dtype=torch.uint8)
    labels = [torch.full((32, 32), index) for index in range(2)]
    batch = [
        {"image": image, "sem_seg": label, "vocabulary": words} for image, label in zip((dark, bright), labels, strict=True)
    ]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    for _ in range(60):
        loss = model.train()(batch)["loss_align"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for entry, answer in zip(batch, model.eval()(batch), strict=True):
        assert (answer["sem_seg"].argmax(0) == entry["sem_seg"]).float().mean() > 0.9
    with pytest.raises(ConfigError, match="choose pixel or image"):
        tiny_alignment("video")


def test_an_encoder_starts_from_what_the_pre_training_left(tmp_path):
    model = tiny_alignment()
    write_state_dict(model.state_dict(), tmp_path / "pretrained.safetensors")
    encoder = tiny_vision_language()
    load_vision_language(encoder, tmp_path / "pretrained.safetensors")
    assert torch.equal(encoder.visual.proj, model.vision_language.visual.proj)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_small_tower_is_open_clip_s_and_starts_from_the_same_values(precision):
    torch.manual_seed(0)
    ours = SmallVit(image_size=64, patch=16, width=48, layers=3, heads=2, dim=32)
    numbers = torch.get_rng_state()
    torch.manual_seed(0)
    theirs = VisionTransformer(64, 16, width=48, layers=3, heads=2, mlp_ratio=4.0, output_dim=32)
    assert torch.equal(numbers, torch.get_rng_state())
    state = theirs.state_dict()
    assert ours.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    image = torch.randn(2, 3, 64, 80)
    with torch.no_grad(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
        first, second = (ClipImage(visual).eval()(image, (1, 2)) for visual in (ours, theirs))
    for one, other in zip((first.dense, first.pooled, *first.taps), (second.dense, second.pooled, *second.taps), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_the_stem_reaches_the_grid_of_its_patch():
    assert convolutional_stem(24, 8)(torch.randn(2, 3, 32, 48)).shape == (2, 24, 4, 6)
    with pytest.raises(ConfigError, match="PATCH is 12"):
        convolutional_stem(24, 12)


def test_patches_differ_from_the_start_though_all_begin_from_the_class_token():
    torch.manual_seed(0)
    encoder = build_small(image_size=64, patch=16, width=48, layers=3, heads=2, dim=32)
    with torch.no_grad():
        dense = torch.nn.functional.normalize(encoder.image(torch.randn(2, 3, 64, 64)).dense.flatten(2), dim=1)
    assert dense.var(dim=-1).sum(dim=1).mean() > 0.1


def test_sentences_are_read_once_and_related_words_lie_nearer(monkeypatch):
    sentences = SentenceEncoder()
    read = []
    embed = sentences._embed
    monkeypatch.setattr(sentences, "_embed", lambda texts: read.append(texts) or embed(texts))
    cropland, farmland, residential, again = sentences(["cropland", "farmland", "residential", "cropland"])
    assert read == [["cropland", "farmland", "residential"]]
    assert torch.equal(cropland, again) and cropland.norm().item() == pytest.approx(1, abs=1e-5)
    assert cropland @ farmland > cropland @ residential + 0.2
    sentences(["farmland"])
    assert len(read) == 1


def test_the_mini_configuration_is_the_published_system_s_class_and_its_shipped_weights_fit():
    cfg = load_config("mini", ["MODEL.DEVICE", "cpu"])
    model = build_model(cfg).eval()
    assert type(model).__name__ == load_config(str(ROOT / "configs/aeroseg/aeroseg_vitb16_saml.yaml")).MODEL.META_ARCHITECTURE
    weights = ROOT / cfg.MODEL.WEIGHTS
    assert weights.stat().st_size < 25 * 2**20
    load_weights(model, weights)
    assert not any("sentences" in name for name in model.state_dict())


def test_sizes_that_cannot_work_are_refused_before_anything_runs():
    with pytest.raises(ConfigError, match="multiple of MODEL.REFINEMENT.HEADS"):
        build_model(load_config("mini", ["MODEL.DEVICE", "cpu", "MODEL.REFINEMENT.HEADS", "3"]))
    with pytest.raises(ConfigError, match="MODEL.DECODER.DIMS needs two"):
        build_model(load_config("mini", ["MODEL.DEVICE", "cpu", "MODEL.DECODER.DIMS", "[8]"]))
