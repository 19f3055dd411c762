"""Sizes that are not known yet: a graph traced with open heights and widths may not branch on them."""

from __future__ import annotations

from typing import Any

import torch


def known(condition: Any) -> bool:
    """Whether a comparison of sizes holds: as it is in eager mode; while a graph is traced, only where it holds for all sizes.

    A plain ``if`` on an open size would bind the graph to the side that the example took.
    """
    if isinstance(condition, torch.SymBool):
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return statically_known_true(condition)
    return bool(condition)


def same_size(one: Any, other: Any) -> bool:
    """Whether two sizes (height, width) are known to be equal."""
    return known(one[0] == other[0]) and known(one[1] == other[1])
