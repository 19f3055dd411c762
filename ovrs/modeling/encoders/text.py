"""Text towers: strings in, one embedding a string out, in the space of an image tower's dense embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.attention import causal_block_at, residual_block, split_attentions
from ovrs.modeling.encoders.minilm import MiniLm
from ovrs.modeling.encoders.text_tokens import TextTokens


class ClipText(nn.Module):
    """CLIP's text transformer, taken out of an open_clip model; parameter names are CLIP's own.

    Prompts are cut to the longest of the batch: the mask is causal, so no token sees what comes after it and the result is
    exactly that of the full 77 tokens.

    Raises:
        ConfigError: a text tower that reads another token than the one with the largest number, or looks ahead.
    """

    def __init__(self, clip: Any, tokenizer: Any, *, batch_size: int = 256) -> None:
        super().__init__()
        projected = isinstance(getattr(clip, "text_projection", None), nn.Parameter)
        if not projected or clip.text_pool_type != "argmax" or clip.attn_mask is None:
            raise ConfigError("the text tower beside this image tower is not CLIP's, which reads its end token causally")
        self.transformer: Any = clip.transformer
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        split_attentions(self.transformer.resblocks)

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return int(self.text_projection.shape[1])

    @property
    def width(self) -> int:
        """Channels of a token inside."""
        return int(self.positional_embedding.shape[1])

    def forward(self, texts: Sequence[str], context: Tensor | None = None) -> Tensor:
        """Embed ``texts`` -> [len(texts), C], not normalised.

        ``context`` [L, width], vectors in the place of L tokens, stands between each start token and its text. (Texts are cut
        off where the two together have more tokens than there are positions.)
        """
        numbers = self._numbers(texts, 0 if context is None else len(context))
        return torch.cat([self._encode(part, context) for part in numbers.split(self.batch_size)])

    def read(self, texts: Sequence[str]) -> TextTokens:
        """The tokens of ``texts`` in the space of the embeddings; that of the end token is what stands for a text.

        What is behind the 77 tokens of CLIP is cut off.
        """
        x, end = self._hidden(self._numbers(texts), None)
        x = residual_block(self.transformer.resblocks[-1], x, causal=True)
        tokens = self.ln_final(x) @ self.text_projection
        mask = torch.arange(x.shape[1], device=x.device) <= end[:, None]
        return TextTokens(tokens, mask, tokens[torch.arange(len(x), device=x.device), end])

    def _numbers(self, texts: Sequence[str], beside: int = 0) -> Tensor:
        """Token numbers [len(texts), 77], or as many fewer as stand ``beside``."""
        length = {"context_length": len(self.positional_embedding) - beside} if beside else {}
        numbers: Tensor = self.tokenizer(list(texts), **length)
        return numbers.to(self.positional_embedding.device)

    def _encode(self, numbers: Tensor, context: Tensor | None) -> Tensor:
        x, end = self._hidden(numbers, context)
        x = causal_block_at(self.transformer.resblocks[-1], x, end)  # of the last block nothing else is looked at
        return self.ln_final(x) @ self.text_projection

    def _hidden(self, numbers: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Hidden states before the last block [N, L, width] of token numbers [N, .], and where the end token of each is [N]."""
        end = numbers.argmax(dim=1)  # the end token has the largest id
        x = self.token_embedding(numbers[:, : int(end.max()) + 1])
        if context is not None:
            end = end + len(context)
            x = torch.cat([x[:, :1], context.to(x.dtype).expand(len(x), -1, -1), x[:, 1:]], dim=1)
        x = x + self.positional_embedding[: x.shape[1]]
        for block in self.transformer.resblocks[:-1]:
            x = residual_block(block, x, causal=True)
        return x, end


class SentenceText(nn.Module):
    """A frozen sentence encoder (all-MiniLM-L6-v2) and one trained linear projection: the text tower of the small models.

    Only the projection is part of the state dict; the sentence encoder comes with its own package.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.sentences = SentenceEncoder()
        # The bias can take away what all prompts of one template have in common, which is most of a sentence's embedding.
        self.projection = nn.Linear(self.sentences.dim, dim)
        nn.init.orthogonal_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.projection.out_features

    @property
    def parameters_outside(self) -> int:
        """How many parameters the sentence encoder has, none of which are this module's."""
        return self.sentences.parameters

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed ``texts`` -> [len(texts), C], not normalised."""
        return self.projection(self.sentences(texts).to(self.projection.weight.device))


class SentenceEncoder:
    """Sentences embedded by MiniLM, each once in the life of the object."""

    dim = MiniLm.dim

    def __init__(self) -> None:
        self._known: dict[str, Tensor] = {}
        self._minilm = MiniLm()

    @property
    def parameters(self) -> int:
        """How many there are."""
        return self._minilm.parameters

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Unit-length embeddings of ``texts`` -> [len(texts), 384]."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), 64):
            part = new[start : start + 64]
            self._known.update(zip(part, self._embed(part), strict=True))
        return torch.stack([self._known[text] for text in texts])

    def _embed(self, texts: list[str]) -> Tensor:
        return self._minilm(texts).pooled
