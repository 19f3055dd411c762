"""Full-size architectures of vision-language encoders by names and shapes, what is refused, and SigLIP's tokenizer."""

import json
import socket

import open_clip
import pytest
import torch
from parts import randomize
from timm import create_model
from vision_language_families import of_openai, siglip_tokenizer, tiny_clip, tiny_siglip, write_siglip_tokenizer

from ovrs.config import load_config
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.build import build_vision_language
from ovrs.modeling.checkpoints import load_vision_language
from ovrs.modeling.encoders.open_clip_models import build_open_clip, from_open_clip
from ovrs.modeling.encoders.published_names import vision_language_state
from ovrs.modeling.fitting import load_state_dict


def shapes(state):
    return {name: tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize(
    "name, patch, dim",
    [
        ("ViT-B-32-quickgelu", 32, 512),
        ("ViT-B-16-quickgelu", 16, 512),
        ("ViT-L-14-quickgelu", 14, 768),
        ("ViT-L-14-336-quickgelu", 14, 768),
        ("ViT-H-14", 14, 1024),
        ("ViT-B-16-SigLIP", 16, 768),
        ("ViT-L-16-SigLIP-384", 16, 1024),
        ("ViT-SO400M-14-SigLIP-384", 14, 1152),
        ("ViT-B-16-SigLIP2", 16, 768),
        ("ViT-SO400M-16-SigLIP2-512", 16, 1152),
    ],
)
def test_a_full_size_architecture_takes_every_tensor_of_its_published_file(name, patch, dim):
    with torch.device("meta"):
        theirs = open_clip.create_model(name, device="meta", pretrained=None, pretrained_image=False, pretrained_hf=False)
        published = {name: torch.zeros((), device="cpu").expand(value.shape) for name, value in theirs.state_dict().items()}
        ours = from_open_clip(theirs, None)
    if name.endswith("quickgelu"):
        published.update({integer: torch.tensor(1) for integer in ("input_resolution", "context_length", "vocab_size")})
    state = vision_language_state(ours, published, name)
    assert shapes(state) == shapes(ours.state_dict())
    if len(state) < 400:  # the deeper ones differ in depth alone
        load_state_dict(ours, state, name)  # raises where anything is missing, unknown or of another shape
        assert not any(value.is_meta for value in ours.state_dict().values())
    assert (ours.patch, ours.dim) == (patch, dim) and "logit_scale" in ours.state_dict()


@pytest.mark.parametrize(
    "name, says",
    [
        ("ViT-L-14-CLIPA", "pools otherwise"),
        ("coca_ViT-B-32", "pools otherwise"),
        ("ViT-B-16-SigLIP-i18n-256", ""),
        ("xlm-roberta-base-ViT-B-32", "text tower of Hugging Face's"),
        ("ViT-H-14-worldwide", "not CLIP's, which reads its end token"),
        ("EVA02-B-16", "timm's Eva"),
        ("MobileCLIP2-B", "token pooling"),
    ],
)
def test_what_has_no_sound_dense_path_is_refused_by_name(name, says):
    with torch.device("meta"):
        if not says:
            assert build_open_clip(name).dim == 768
            return
        with pytest.raises(ConfigError, match=f"{name}: .*{says}"):
            build_open_clip(name)


def test_siglip_of_flexible_sizes_is_refused():
    with torch.device("meta"):
        siglip = tiny_siglip()
        siglip.visual.trunk = create_model("naflexvit_base_patch16_siglip", depth=1)
    with pytest.raises(ConfigError, match="fixed size .* timm's NaFlexVit"):
        from_open_clip(siglip, None)


def test_openai_s_weights_want_their_own_activation(tmp_path):
    torch.save(of_openai(randomize(tiny_clip()).state_dict()), tmp_path / "openai.pt")
    with pytest.raises(WeightsError, match=r"openai\.pt: .*quick GELU.*-quickgelu"):
        load_vision_language(from_open_clip(tiny_clip(), None), tmp_path / "openai.pt")
    load_vision_language(from_open_clip(tiny_clip(quick_gelu=True), None), tmp_path / "openai.pt")


def test_siglip_s_weights_do_not_fit_clip_nor_clip_s_siglip(tmp_path):
    for path, model in (("siglip.pt", tiny_siglip()), ("clip.pt", tiny_clip())):
        torch.save(model.state_dict(), tmp_path / path)
    for path, model in (("clip.pt", tiny_siglip()), ("siglip.pt", tiny_clip())):
        with pytest.raises(WeightsError, match=path):
            load_vision_language(from_open_clip(model, None), tmp_path / path)


# ------------------------------------------------------------------- SigLIP's tokenizer


def siglip(folder):
    return from_open_clip(randomize(tiny_siglip()), siglip_tokenizer(folder))


def test_the_tokenizer_is_read_without_network(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = write_siglip_tokenizer(tmp_path / "words")
    by_folder, by_file = siglip(folder), siglip(folder / "tokenizer.json")
    assert torch.equal(by_folder.text([["a ship"]]), by_file.text([["A  SHIP!"]]))


def test_a_missing_tokenizer_says_which_files_to_put_where(tmp_path):
    with pytest.raises(WeightsError, match=rf"{tmp_path}: no tokenizer\.json and .*huggingface\.co/timm/ViT-B-16-SigLIP"):
        siglip(tmp_path).text([["a ship"]])
    with pytest.raises(WeightsError, match=r"MODEL\.VISION_LANGUAGE\.TOKENIZER names no folder: no tokenizer\.json"):
        siglip("").text([["a ship"]])


def test_what_is_no_tokenizer_or_brings_code_is_refused(tmp_path):
    folder = write_siglip_tokenizer(tmp_path / "words")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    changed = {**settings, "tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(changed))
    with pytest.raises(WeightsError, match="not readable as a tokenizer"):
        siglip(folder).text([["a ship"]])
    assert not (tmp_path / "ran").exists()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="not readable as a tokenizer"):
        siglip(folder).text([["a ship"]])


def test_the_tokenizer_of_another_model_is_noticed(tmp_path):
    folder = write_siglip_tokenizer(tmp_path / "words")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["ship"] = 999
    (folder / "tokenizer.json").write_text(json.dumps(content))
    for _ in range(2):
        with pytest.raises(WeightsError, match=r"words: gives token 999, and the text tower knows tokens 0 to 14: .*another"):
            siglip(folder).text([["a ship"]])
    content["model"]["vocab"] = {"<unk>": 0, "</s>": 1, "ship": 2}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=r"words: knows 3 tokens, .*huggingface\.co/timm/ViT-B-16-SigLIP"):
        siglip(folder).text([["a ship"]])


def test_the_configuration_looks_for_the_tokenizer_beside_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("ovrs.modeling.build.load_vision_language", lambda *_: None)
    (tmp_path / "open_clip.bin").write_bytes(b"read by what is replaced here")
    keys = ["MODEL.VISION_LANGUAGE.NAME", "ViT-B-16-SigLIP2", "MODEL.VISION_LANGUAGE.WEIGHTS", str(tmp_path / "open_clip.bin")]
    for more, folder in (([], tmp_path), (["MODEL.VISION_LANGUAGE.TOKENIZER", str(tmp_path / "words")], tmp_path / "words")):
        cfg = load_config("configs/aeroseg/aeroseg_vitb16_saml.yaml", keys + more)
        with torch.device("meta"):
            tokenizer = build_vision_language(cfg).text_tower.tokenizer
        assert (tokenizer.folder, tokenizer.context_length, tokenizer.clean) == (folder, 64, "canonicalize")
        assert tokenizer.published == "timm/ViT-B-16-SigLIP2"
