"""Prompts as a tree: what several of them begin with is read once, and nothing is padded.

Where every token sees only those before it, its hidden states are the same in all sequences that begin alike. "A photo of a
ship in the scene" and "A photo of a bridge in the scene" part at their fifth word; the four before it stand once in the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class PromptTree:
    """Token sequences by their T different beginnings, each a node that bears the last token of its beginning.

    Attributes:
        numbers: [T], the token of each node; a node stands behind all that lead to it.
        places: [T], where in its sequences a node stands, from 0.
        mask: [T, T], 0 where a node (row) sees another one, which leads to it or is itself, and -inf elsewhere.
        paths: [N, L], the nodes of each sequence; behind its end, its end again.
        ends: [N], the last node of each sequence.
    """

    numbers: Tensor
    places: Tensor
    mask: Tensor
    paths: Tensor
    ends: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> PromptTree:
        """The tree of sequences of token numbers, of which none is empty."""
        nodes: dict[tuple[int, int], int] = {}  # by the node before and the token
        paths = []
        for row in rows:
            path = [-1]
            for number in row:
                path.append(nodes.setdefault((path[-1], number), len(nodes)))
            paths.append(path[1:])
        seen = np.eye(len(nodes), dtype=bool)
        for node, (before, _) in enumerate(nodes):
            if before >= 0:
                seen[node] |= seen[before]
        longest = max(map(len, paths))
        return cls(
            numbers=torch.tensor([number for _, number in nodes]),
            places=torch.from_numpy(seen.sum(axis=1) - 1),
            mask=torch.zeros(seen.shape).masked_fill(torch.from_numpy(~seen), -torch.inf),
            paths=torch.tensor([path + path[-1:] * (longest - len(path)) for path in paths]),
            ends=torch.tensor([path[-1] for path in paths]),
        )

    def to(self, device: torch.device) -> PromptTree:
        """The same on another device."""
        return PromptTree(*(part.to(device) for part in (self.numbers, self.places, self.mask, self.paths, self.ends)))
