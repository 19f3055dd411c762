"""BERT as a text encoder (Devlin et al., NAACL 2019), from a folder of its files or by its sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from torch import Tensor
from transformers import BertConfig, BertModel

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.encoders.text_tokens import TextEncoder, TextTokens, TrainMode
from ovrs.modeling.encoders.word_pieces import WordPieces, read_vocabulary
from ovrs.modeling.fitting import load_state_dict, parameters_on_meta
from ovrs.modeling.weights_files import read_state_dict

SETTINGS, VOCABULARY = "config.json", "vocab.txt"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
NORMS = {"gamma": "weight", "beta": "bias"}
# What MAFN's published optimiser never holds: the embeddings, and these last layers.
UNTRAINED_LAYERS = 2


class BertText(TextEncoder):
    """BERT's last hidden states; what stands for a whole sentence is that of its first token, [CLS].

    There is no pooler: nothing behind it would train it. Parameter names are those of transformers, under ``bert.``.

    Args:
        bert: of transformers, without pooler.
        pieces: its tokenizer.
        train: see :meth:`set_trainable`.

    Raises:
        ConfigError: sentences longer than its positions, or tokens that it has no embedding of.
    """

    def __init__(self, bert: BertModel, pieces: WordPieces, *, train: TrainMode = "published") -> None:
        super().__init__()
        settings = bert.config
        if pieces.max_tokens > settings.max_position_embeddings:
            raise ConfigError(
                f"sentences of {pieces.max_tokens} tokens for a BERT with {settings.max_position_embeddings} positions"
            )
        if pieces.size > settings.vocab_size:
            raise ConfigError(f"a vocabulary of {pieces.size} word pieces for a BERT that knows {settings.vocab_size}")
        self.bert = bert
        self.pieces = pieces
        self.dim = int(settings.hidden_size)
        self.most_tokens = pieces.max_tokens
        self.set_trainable(train)

    def forward(self, texts: Sequence[str]) -> TextTokens:
        """Read ``texts``; see the base class."""
        device = self.bert.embeddings.word_embeddings.weight.device
        numbers, mask = (part.to(device) for part in self.pieces(texts))
        tokens: Tensor = self.bert(input_ids=numbers, attention_mask=mask.long()).last_hidden_state
        return TextTokens(tokens, mask, tokens[:, 0])

    def count_tokens(self, text: str) -> int:
        """See the base class."""
        return self.pieces.count(text)

    def set_trainable(self, train: TrainMode) -> None:
        """Say which parameters train: ``freeze`` none; ``published`` what MAFN's authors give their optimiser, all layers but
        the last two and no embedding; ``full`` all. Biases of keys never do: they cancel in the softmax.

        Raises:
            ConfigError: another mode, or ``published`` of a BERT of two layers or fewer.
        """
        if train not in ("freeze", "published", "full"):
            raise ConfigError(f"training mode {train!r} of the text encoder; choose freeze, published or full")
        layers = self.bert.encoder.layer
        if train == "published" and len(layers) <= UNTRAINED_LAYERS:
            raise ConfigError(f"training mode published leaves a BERT of {len(layers)} layers none to train; choose full")
        self.train_mode = train
        self.bert.requires_grad_(train == "full")
        if train == "published":
            layers[:-UNTRAINED_LAYERS].requires_grad_(True)
        for layer in layers:
            layer.attention.self.key.bias.requires_grad_(False)

    def freeze_shift(self) -> None:
        """See the base class: the bias of the last norm."""
        self.bert.encoder.layer[-1].output.LayerNorm.bias.requires_grad_(False)

    def train(self, mode: bool = True) -> BertText:
        """A frozen BERT stays in evaluation mode, without dropout."""
        return super().train(mode and self.train_mode != "freeze")


def build_bert(source: str | Path, *, weights: bool = True, max_tokens: int = 20, train: TrainMode = "published") -> BertText:
    """BERT from a folder with ``config.json``, ``vocab.txt`` and ``model.safetensors`` or ``pytorch_model.bin``.

    Args:
        source: the folder, or the weights file in it.
        weights: load them; without, they are random and need not be there (a whole system's weights hold their own).
        max_tokens: longest sentence; what is behind is cut off.
        train: see :meth:`BertText.set_trainable`.

    Raises:
        WeightsError: a file is missing, unreadable, unsafe or of another model.
        ConfigError: see :class:`BertText`.
    """
    folder = Path(source).parent if Path(source).is_file() else Path(source)
    if not folder.is_dir():
        raise WeightsError(f"{source}: no such folder; BERT's holds {SETTINGS}, {VOCABULARY} and {' or '.join(WEIGHTS)}")
    settings = _read_settings(folder / SETTINGS)
    pieces = WordPieces(read_vocabulary(folder / VOCABULARY), max_tokens=max_tokens, origin=str(folder / VOCABULARY))
    with parameters_on_meta() if weights else nullcontext():
        encoder = BertText(BertModel(settings, add_pooling_layer=False), pieces, train=train)
    if weights:
        path = Path(source) if Path(source).is_file() else _weights_in(folder)
        load_state_dict(encoder.bert, under_transformers_names(read_state_dict(path)), str(path), published=True)
    return encoder.eval()


def build_small_bert(
    vocabulary: Sequence[str],
    *,
    width: int,
    layers: int,
    heads: int,
    hidden: int = 0,
    max_tokens: int = 20,
    train: TrainMode = "full",
) -> BertText:
    """BERT by its sizes, with random weights.

    Args:
        vocabulary: word pieces in the order of their numbers.
        width: channels of its hidden states.
        layers: how many.
        heads: attention heads of each.
        hidden: channels inside its perceptrons; 0 = four times ``width``.
        max_tokens: see :func:`build_bert`.
        train: see :meth:`BertText.set_trainable`.

    Raises:
        ConfigError: heads that do not divide the width; see :class:`BertText` as well.
    """
    if width % heads:
        raise ConfigError(f"a BERT of width {width}: {heads} heads do not divide it")
    settings = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=hidden or 4 * width,
        max_position_embeddings=max(max_tokens, 64),
    )
    return BertText(BertModel(settings, add_pooling_layer=False), WordPieces(vocabulary, max_tokens=max_tokens), train=train)


def under_transformers_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under the names of transformers' ``BertModel`` without pooler.

    Google's files have the model under ``bert.`` beside the heads of its pre-training (``cls.``), and norms by the names that
    TensorFlow gave their parameters, gamma and beta.
    """
    prefix = "bert." if any(name.startswith("bert.") for name in state) else ""
    kept = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    norms = re.compile(r"LayerNorm\.(gamma|beta)$")
    return {
        norms.sub(lambda found: f"LayerNorm.{NORMS[found[1]]}", name): value
        for name, value in kept.items()
        if not name.startswith("pooler.")
    }


def _read_settings(path: Path) -> BertConfig:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kind = found.get("model_type", "bert")
        settings = BertConfig.from_dict(found)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # transformers raises many kinds on settings of the wrong type
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path}: not readable as the settings of a BERT: {reason}") from error
    if kind != "bert":
        raise WeightsError(f"{path}: the settings of a model of type {kind}, not of a BERT")
    return settings


def _weights_in(folder: Path) -> Path:
    found = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not found:
        raise WeightsError(f"{folder}: neither {' nor '.join(WEIGHTS)}; get one of them from where its {SETTINGS} is from")
    return found[0]
