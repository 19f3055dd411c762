"""The image-text matching loss: contrast of images and texts, and whether one belongs to the other (MetaSegNet section II-C-1).

After ALBEF (Li et al., "Align before fuse", NeurIPS 2021), which the paper names, with two changes that one prompt for many
images asks for: a pair of one prompt is never a negative, and where there are no two prompts there is nothing to learn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.blocks.context_decoder import ContextLayer
from ovrs.modeling.blocks.contrastive import from_all_processes
from ovrs.modeling.blocks.pair_queue import PairQueue, Pairs
from ovrs.modeling.blocks.token_mean import token_mean
from ovrs.modeling.precision import without_autocast

ABSENT = -1e4  # the logit of a key that is not compared: its share underflows to 0


@dataclass(frozen=True)
class Matching:
    """Both parts of L_itm, and whether there was anything to learn.

    Attributes:
        contrast: of images and texts, both directions added.
        matched: cross entropy of "belongs to it" and "does not".
        compared: a bool on the device, false where all pairs have one prompt; both are 0 then, with gradients. Reading it waits
            for the device.
    """

    contrast: Tensor
    matched: Tensor
    compared: Tensor

    @property
    def loss(self) -> Tensor:
        """L_itm, their sum."""
        return self.contrast + self.matched


class ImageTextMatching(nn.Module):
    """L_itm of a batch and of the latest pairs before it, of all processes; in training alone.

    Keys are the pairs of the batch, over all processes, and those of the queue. Positive are those of the same prompt, each of
    which is faced with those of other prompts alone. Of each image, the most similar text of another prompt is the negative
    that the context layers are asked about; like all keys out of the queue it has no gradient.

    Args:
        dim: C, channels of both sequences, and in which they are compared.
        queue: the latest pairs.
        heads: attention heads of the context layers; must divide ``dim``.
        layers: how many of these, in which a text reads an image.
        temperature: of the softmax at first; learned from there on.
        max_scale: that by which cosines are multiplied never grows larger.

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(
        self,
        *,
        dim: int = 256,
        queue: PairQueue,
        heads: int = 8,
        layers: int = 2,
        temperature: float = 0.07,
        max_scale: float = 100.0,
    ) -> None:
        super().__init__()
        self.image = nn.Linear(dim, dim)
        self.text = nn.Linear(dim, dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.max_scale = max_scale
        self.queue = queue
        self.image_norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(ContextLayer(dim=dim, heads=heads, dropout=0.0) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2))

    def forward(self, image: Tensor, text: Tensor, mask: Tensor, prompts: Tensor) -> Matching:
        """The losses of ``image`` [B, L1, C] and ``text`` [B, L2, C]; the batch enters the queue.

        ``mask`` [B, L2] is true where a text has a token, ``prompts`` [B] is equal where texts are. Every process must take
        part, with as many images as the others; each gets the contrast of all, and the other loss of its own images.
        """
        own = Pairs(
            images=F.normalize(self.image(image.mean(dim=1)).float(), dim=1),
            texts=F.normalize(self.text(token_mean(text, mask)).float(), dim=1),
            tokens=self.queue.fitted(text.masked_fill(~mask.unsqueeze(2), 0).detach().float()),
            masks=self.queue.fitted(mask),
            prompts=prompts,
        )
        batch = pairs_of_all_processes(own)
        keys = batch.and_then(self.queue.pairs())
        same = batch.prompts[:, None] == keys.prompts
        scale = self.logit_scale.exp().clamp(max=self.max_scale)
        contrast = multi_positive_contrast(batch.images, keys.texts, same, scale)
        contrast = contrast + multi_positive_contrast(batch.texts, keys.images, same, scale)
        hardest, found = hardest_negatives(own.images, keys.texts, own.prompts[:, None] == keys.prompts)
        right = self._belongs(image, text, mask)
        wrong = self._belongs(image, keys.tokens[hardest], keys.masks[hardest])
        # Keys hold every process's prompts: either all images of all processes have a negative, or none has.
        counted = found.sum().clamp(min=1)
        matched = (_cross_entropies(right, 1) + _cross_entropies(wrong, 0)) * found
        self.queue.push(batch)
        return Matching(contrast, matched.sum() / (2 * counted), found.any())

    def _belongs(self, image: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, 2] of "does not belong" and "belongs", read off the text's first token."""
        words, context = text.masked_fill(~mask.unsqueeze(2), 0), self.image_norm(image)
        for layer in self.layers:
            words = layer(words, context, mask=mask)
        return self.head(words[:, 0])


def multi_positive_contrast(queries: Tensor, keys: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """Mean over queries, and over the positives p of each, of -log(e^p / (e^p + sum of e^n over the negatives n)).

    Args:
        queries: [M, D], of unit length.
        keys: [K, D], of unit length.
        same: [M, K], true for the positives of each query, of which it has one at least; the others are its negatives.
        scale: of cosines.

    Returns:
        A scalar; 0 (with gradients) of queries that have no negative.
    """
    with without_autocast(queries.device.type):
        logits = scale * queries @ keys.mT
    against = logits.masked_fill(same, ABSENT).logsumexp(dim=1, keepdim=True)
    terms = F.softplus(against - logits) * same
    return (terms.sum(dim=1) / same.sum(dim=1)).mean()


def hardest_negatives(images: Tensor, texts: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """For each of ``images`` [B, D] the number of the most similar of ``texts`` [K, D] that is no positive, and whether any is.

    ``same`` [B, K] is true for positives. Where an image has no negative, the number is one of a positive.
    """
    with without_autocast(images.device.type):
        similar = (images.detach() @ texts.detach().mT).masked_fill(same, -2.0)  # a cosine is -1 at least
    return similar.argmax(dim=1), ~same.all(dim=1)


def pairs_of_all_processes(own: Pairs) -> Pairs:
    """The pairs of every process, in the order of their ranks; gradients of embeddings come back to where they are from."""
    embedded = from_all_processes(torch.stack([own.images, own.texts], dim=1))
    return Pairs(
        images=embedded[:, 0],
        texts=embedded[:, 1],
        tokens=from_all_processes(own.tokens),
        masks=from_all_processes(own.masks.to(torch.uint8)).bool(),
        prompts=from_all_processes(own.prompts),
    )


def _cross_entropies(logits: Tensor, answer: int) -> Tensor:
    """That of each row of ``logits`` [B, 2], of which ``answer`` is right."""
    return -logits.float().log_softmax(dim=1)[:, answer]
