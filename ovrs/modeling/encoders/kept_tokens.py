"""The tokens of the latest prompts: many images have few prompts, and a frozen encoder says the same of each every time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ovrs.modeling.encoders.text_tokens import TextEncoder, TextTokens

KEPT_PROMPTS = 64  # of 250 tokens of 768 channels: 49 MB


class KeptTokens:
    """What an encoder makes of texts, in single precision; of the latest ones it is kept until the encoder's weights change.

    Each text is read by itself, so that what is kept of it depends on no other. Where gradients flow into the encoder nothing
    is kept, and all texts are read together.

    Args:
        most: how many texts are kept; those of one batch always are.
    """

    def __init__(self, most: int = KEPT_PROMPTS) -> None:
        self.most = most
        self._kept: OrderedDict[str, tuple[Tensor, Tensor, Tensor]] = OrderedDict()
        self._version: tuple[object, ...] = ()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()

    def read(self, encoder: TextEncoder, texts: Sequence[str], device: torch.device) -> TextTokens:
        """The tokens of ``texts`` on ``device``, padded to the longest of them."""
        if torch.is_grad_enabled() and encoder.text_trains:
            read = encoder(texts)
            return TextTokens(read.tokens.float(), read.mask, read.pooled.float())
        if (version := (*encoder.text_version(), device)) != self._version:
            self.clear()
            self._version = version
        for text in dict.fromkeys(texts):
            if text not in self._kept:
                self._kept[text] = _read_alone(encoder, text, device)
            self._kept.move_to_end(text)
        tokens, masks, pooled = zip(*(self._kept[text] for text in texts), strict=True)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return TextTokens(
            pad_sequence(list(tokens), batch_first=True), pad_sequence(list(masks), batch_first=True), torch.stack(pooled)
        )


@torch.no_grad()
def _read_alone(encoder: TextEncoder, text: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens [L, C], their mask [L] and what stands for the whole text [C]."""
    read = encoder([text]).to(device)
    return read.tokens[0].float(), read.mask[0], read.pooled[0].float()
