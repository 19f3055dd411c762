"""Starting one system from the weights of another: what fits, what can be adapted exactly, what stays as it was built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

COST = "cost_embedding.conv.weight"


@dataclass
class Initialised:
    """A complete state dict, and where each tensor comes from.

    Attributes:
        state: every tensor of the model.
        fits: names taken as they are.
        adapted: names that were adapted, with how.
        left: names that stay as the model was built, with why.
        unused: names of the source that the model has no place for.
    """

    state: dict[str, Tensor]
    fits: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def report(self) -> list[str]:
        """Lines for people: each kind, grouped by module."""
        lines = [f"fits: {line}" for line in _by_module(self.fits)]
        lines += [f"adapted: {name} ({how})" for name, how in self.adapted.items()]
        for why in dict.fromkeys(self.left.values()):
            lines += [f"left as built: {line} ({why})" for line in _by_module([n for n, w in self.left.items() if w == why])]
        return lines + [f"not used: {line}" for line in _by_module(self.unused)]


def initialise(own: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> Initialised:
    """The state ``own`` of a freshly built model, with all that ``source`` (under our names) can give it."""
    result = Initialised(dict(own), unused=[name for name in source if name not in own])
    for name, value in own.items():
        given = source.get(name)
        if given is None:
            result.left[name] = "the source has none"
        elif given.shape == value.shape:
            result.state[name] = given.to(value.dtype)
            result.fits.append(name)
        elif name == COST and (kernel := spread_kernel(given, value.shape[1])) is not None and kernel.shape == value.shape:
            result.state[name] = kernel.to(value.dtype)
            share = value.shape[1] // given.shape[1]
            result.adapted[name] = f"{given.shape[1]} -> {value.shape[1]} channels, the kernel repeated / {share}"
        else:
            result.left[name] = f"{_shape(value)} instead of {_shape(given)}"
    return result


def spread_kernel(kernel: Tensor, channels: int) -> Tensor | None:
    """A cost embedding's kernel [D, K, k, k] for ``channels`` = K * n channels; None where they are no multiple.

    Each channel is repeated n times and divided by n: rotation by rotation, prompts inside, as the cost volume orders them. So
    n equal cost maps give what one gave, and n different ones what their mean would give.
    """
    if channels % kernel.shape[1]:
        return None
    share = channels // kernel.shape[1]
    return kernel.repeat_interleave(share, dim=1) / share


def _by_module(names: list[str]) -> list[str]:
    groups: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        group = ".".join(parts[:2]) if parts[0] in ("decoder_guidance", "vision_language") else parts[0]
        groups[group] = groups.get(group, 0) + 1
    return [f"{group}.* {count} tensor{'s' * (count > 1)}" for group, count in groups.items()]


def _shape(value: Tensor) -> str:
    return " x ".join(str(side) for side in value.shape) or "a number"
