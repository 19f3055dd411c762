"""Text towers: strings in, one embedding a string out, in the space of an image tower's dense embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.attention import residual_block, residual_block_at, split_attentions
from ovrs.modeling.encoders.minilm import MiniLm
from ovrs.modeling.encoders.prompt_tree import PromptTree
from ovrs.modeling.encoders.text_tokens import TextTokens


class ClipText(nn.Module):
    """CLIP's text transformer, taken out of an open_clip model; parameter names are CLIP's own.

    No token sees what comes after it. So what stands behind the end of a prompt is left out, what prompts begin with alike is
    read once (:class:`PromptTree`), and the result is that of 77 tokens each.

    Raises:
        ConfigError: a text tower that reads another token than the one with the largest number, or looks ahead.
    """

    def __init__(self, clip: Any, tokenizer: Any, *, batch_tokens: int = 1024) -> None:
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
        self.batch_tokens = batch_tokens
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
        rows = self._rows(texts, 0 if context is None else len(context))
        # In the order of their tokens, so that those that begin alike stand in one tree.
        order = sorted(range(len(rows)), key=rows.__getitem__)
        parts = self._parts([rows[index] for index in order])
        embedded = torch.cat([self._encode(part, context) for part in parts])
        return embedded[torch.tensor(order, device=embedded.device).argsort()]

    def read(self, texts: Sequence[str]) -> TextTokens:
        """The tokens of ``texts`` in the space of the embeddings; that of the end token is what stands for a text.

        What is behind the 77 tokens of CLIP is cut off.
        """
        rows = self._rows(texts)
        longest = max(map(len, rows))
        tokens, pooled = [], []
        for part in self._parts(rows):
            tree, x = self._hidden(part, None)
            x = residual_block(self.transformer.resblocks[-1], x, mask=tree.mask)
            nodes = (self.ln_final(x) @ self.text_projection)[0]
            tokens.append(F.pad(nodes[tree.paths], (0, 0, 0, longest - tree.paths.shape[1])))
            pooled.append(nodes[tree.ends])
        mask = torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]
        return TextTokens(torch.cat(tokens), mask.to(self.positional_embedding.device), torch.cat(pooled))

    def _numbers(self, texts: Sequence[str], beside: int = 0) -> Tensor:
        """Token numbers [len(texts), 77], or as many fewer as stand ``beside``."""
        length = {"context_length": len(self.positional_embedding) - beside} if beside else {}
        numbers: Tensor = self.tokenizer(list(texts), **length)
        return numbers

    def _rows(self, texts: Sequence[str], beside: int = 0) -> list[list[int]]:
        """The token numbers of each text up to its end token, the largest; behind the first one ``beside`` more, below 0."""
        numbers = self._numbers(texts, beside)
        rows = [row[: end + 1] for row, end in zip(numbers.tolist(), numbers.argmax(dim=1).tolist(), strict=True)]
        return [row[:1] + [-1 - place for place in range(beside)] + row[1:] for row in rows]

    def _parts(self, rows: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
        """The rows in their order, as many at a time as have ``batch_tokens`` together: each is held against all others."""
        first = tokens = 0
        for index, row in enumerate(rows):
            if index > first and tokens + len(row) > self.batch_tokens:
                yield rows[first:index]
                first, tokens = index, 0
            tokens += len(row)
        yield rows[first:]

    def _encode(self, rows: Sequence[Sequence[int]], context: Tensor | None) -> Tensor:
        tree, x = self._hidden(rows, context)
        # Of the last block nothing but the end tokens is looked at.
        x = residual_block_at(self.transformer.resblocks[-1], x, tree.ends, mask=tree.mask[tree.ends])
        embedded: Tensor = self.ln_final(x[0]) @ self.text_projection
        return embedded

    def _hidden(self, rows: Sequence[Sequence[int]], context: Tensor | None) -> tuple[PromptTree, Tensor]:
        """The tree of the rows, and the hidden states of its nodes before the last block [1, T, width]."""
        tree = PromptTree.of(rows).to(self.positional_embedding.device)
        x = self.token_embedding(tree.numbers.clamp(min=0))
        if context is not None:  # which stands in the first row, behind its start token, and so in the first nodes
            x = torch.cat([x[:1], context.to(x.dtype), x[1 + len(context) :]])
        x = (x + self.positional_embedding[tree.places])[None]
        for block in self.transformer.resblocks[:-1]:
            x = residual_block(block, x, mask=tree.mask)
        return tree, x


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
