"""Published weights by name: found in the cache, checked once, and refused where the configuration wants others."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ovrs.config import load_config
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling import build
from ovrs.modeling.published import hashes
from ovrs.modeling.published.cache import cache_folder, weights_path
from ovrs.modeling.published.configured import configured_weights, refuse_published
from ovrs.modeling.published.entry import CLIP, HALF, IMAGENET
from ovrs.modeling.published.table import PUBLISHED

CONTENT = b"weights"
BASE = str(Path(__file__).parents[3] / "configs/aeroseg/aeroseg_vitb16_saml.yaml")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OVRS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def sam(cache, monkeypatch):
    """The table's SAM ViT-L, whose file is a few bytes, in the cache."""
    row = replace(PUBLISHED["sam/ViT-L"], md5=hashlib.md5(CONTENT).hexdigest()[:6])
    monkeypatch.setitem(PUBLISHED, row.name, row)
    (cache / row.file).write_bytes(CONTENT)
    return cache / row.file


@pytest.fixture
def readings(monkeypatch):
    """How often a file's hash was computed."""
    count, digest = [], hashes.digest
    monkeypatch.setattr(hashes, "digest", lambda path, *args, **options: count.append(path) or digest(path, *args, **options))
    return count


def test_the_cache_is_ovrs_cache_or_torch_hub_s_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("OVRS_CACHE", "~/weights")
    assert cache_folder() == Path.home() / "weights"
    monkeypatch.delenv("OVRS_CACHE")
    for name, value in (("XDG_CACHE_HOME", None), ("XDG_CACHE_HOME", "caches"), ("TORCH_HOME", "torch")):
        monkeypatch.setenv(name, str(tmp_path / value)) if value else monkeypatch.delenv(name, raising=False)
        assert cache_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_a_path_stays_a_path(tmp_path):
    path = tmp_path / "my.pth"
    path.write_bytes(CONTENT)
    assert weights_path(path) == weights_path(str(path)) == path
    with pytest.raises(WeightsError, match=r"other\.pth: no such weights file"):
        weights_path(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("openai/ViT-B16", "openai/ViT-B-16"), ("SAM/vit-l", "sam/ViT-L"), ("dinov3/ViT-L16", "dinov3/ViT-L-16")],
)
def test_a_typo_names_the_nearest(cache, typo, meant):
    with pytest.raises(WeightsError, match=rf"'{typo}' is neither .*; did you mean .*{meant}.*python -m ovrs\.weights list"):
        weights_path(typo)


def test_a_word_like_nothing_gets_no_guess(cache):
    with pytest.raises(WeightsError, match=r"names? of published weights \(python"):
        weights_path("zzz")


def test_a_name_too_long_for_a_file_is_no_name(cache):
    with pytest.raises(WeightsError, match="is neither a weights file nor the name"):
        weights_path("x" * 5000)


def test_what_was_not_fetched_says_how_to_get_it_with_and_without_a_network(cache):
    with pytest.raises(
        WeightsError, match=rf"python -m ovrs\.weights fetch sam/ViT-H; .* put https://dl.* into {cache} as sam_vit_h"
    ):
        weights_path("sam/ViT-H")


def test_a_file_is_read_for_its_hash_once_and_again_when_it_has_changed(sam, readings):
    assert weights_path("sam/ViT-L") == weights_path("sam/ViT-L") == sam
    assert len(readings) == 1
    os.utime(sam, ns=(1, 1))
    weights_path("sam/ViT-L")
    assert len(readings) == 2


def test_a_damaged_file_is_refused_though_it_was_right_before(sam):
    weights_path("sam/ViT-L")
    sam.write_bytes(b"weighty")
    with pytest.raises(WeightsError, match=r"not sam/ViT-L as published: md5 \w{6} expected, \w{32} found; remove it"):
        weights_path("sam/ViT-L")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_is_read_all_the_same(sam, cache, readings):
    cache.chmod(0o555)
    try:
        assert weights_path("sam/ViT-L") == weights_path("sam/ViT-L") == sam
    finally:
        cache.chmod(0o755)
    assert len(readings) == 2


@pytest.mark.parametrize("note", ["", "[]", '{"algorithm": "sha256"}', '{"algorithm": "exec", "digits": 3}', "\x00"])
def test_a_broken_note_is_as_none(sam, note):
    hashes.note_of(sam).write_text(note)
    assert weights_path("sam/ViT-L") == sam


# ------------------------------------------------------------------ in a configuration


def guidance(weights, architecture="sam_vit_l", normalization=IMAGENET):
    return configured_weights(
        weights, part="guidance", architecture=architecture, mean=normalization[0], std=list(normalization[1])
    )


def test_a_name_gives_its_file_where_everything_fits(sam):
    assert guidance("sam/ViT-L") == sam


@pytest.mark.parametrize(
    ("weights", "changes", "message"),
    [
        ("sam/ViT-H", {}, r"sam/ViT-H needs MODEL\.GUIDANCE\.NAME sam_vit_h, not sam_vit_l"),
        ("openai/ViT-B-16", {}, r"openai/ViT-B-16 belongs in MODEL\.VISION_LANGUAGE\.WEIGHTS"),
        ("catseg/ViT-B-16", {}, r"a whole system; convert it .* for MODEL\.WEIGHTS"),
        (
            "sam/ViT-L",
            {"normalization": CLIP},
            r"needs MODEL\.GUIDANCE\.PIXEL_MEAN \[123\.675, 116\.28, 103\.53\], not \[122\.77",
        ),
        ("sam/ViT-L", {"normalization": (IMAGENET[0], HALF[1])}, r"needs MODEL\.GUIDANCE\.PIXEL_STD"),
    ],
)
def test_weights_of_another_encoder_say_which_keys_to_set(sam, weights, changes, message):
    with pytest.raises(ConfigError, match=message):
        guidance(weights, **changes)


def test_names_given_as_a_whole_model_s_weights_say_where_they_belong(tmp_path):
    with pytest.raises(WeightsError, match=r"convert_checkpoint\.py catseg/ViT-B-16 .*--layout catseg, then MODEL.WEIGHTS"):
        refuse_published("catseg/ViT-B-16")
    with pytest.raises(WeightsError, match=r"belong in MODEL\.GUIDANCE\.WEIGHTS"):
        refuse_published("sam/ViT-L")
    refuse_published(str(tmp_path / "model.pth"))


def test_weights_named_by_path_go_with_any_normalisation(sam):
    assert guidance(str(sam), normalization=HALF) == sam


def test_timm_s_name_may_say_which_weights_are_meant(cache):
    with pytest.raises(WeightsError, match="fetch sam2/Hiera-L"):
        guidance("sam2/Hiera-L", architecture="timm:sam2_hiera_large.fb_r1024")


@pytest.mark.parametrize(
    ("section", "builder", "loader", "name"),
    [
        ("GUIDANCE", build.build_guidance_encoder, "load_guidance", "sam/ViT-L"),
        ("VISION_LANGUAGE", build.build_vision_language, "load_vision_language", "openai/ViT-B-16"),
    ],
)
def test_a_model_is_built_with_weights_by_name(cache, monkeypatch, section, builder, loader, name):
    row = replace(PUBLISHED[name], md5=hashlib.md5(CONTENT).hexdigest(), sha256="")
    monkeypatch.setitem(PUBLISHED, name, row)
    options = [f"MODEL.{section}.WEIGHTS", name]
    with pytest.raises(WeightsError, match=f"fetch {name}"):
        builder(load_config(BASE, options))
    (cache / row.file).write_bytes(CONTENT)
    loaded = []
    monkeypatch.setattr(build, loader, lambda encoder, path: loaded.append(path))
    builder(load_config(BASE, options))
    assert loaded == [str(cache / row.file)]
    with pytest.raises(ConfigError, match=rf"needs MODEL\.{section}\.PIXEL_MEAN"):
        builder(load_config(BASE, [*options, f"MODEL.{section}.PIXEL_MEAN", "[1.0, 2.0, 3.0]"]))


def test_a_text_encoder_is_its_weights_with_settings_and_vocabulary_beside_them(cache):
    row = PUBLISHED["bert/base-uncased"]
    assert row.files == tuple(f"bert-base-uncased/{name}" for name in ("model.safetensors", "config.json", "vocab.txt"))
    (cache / row.file).parent.mkdir()
    (cache / row.file).write_bytes(CONTENT)
    assert configured_weights(row.name, part="text", architecture="bert") == cache / row.file
    with pytest.raises(ConfigError, match=r"bert/base-uncased needs MODEL\.TEXT\.NAME bert, not minilm"):
        configured_weights(row.name, part="text", architecture="minilm")
    with pytest.raises(ConfigError, match=r"swin/B-12-384 belongs in MODEL\.IMAGE\.WEIGHTS"):
        configured_weights("swin/B-12-384", part="text", architecture="bert")
