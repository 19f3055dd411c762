"""Whether a state dict fits a module, said so that somebody can act on it; and putting it there without a second copy."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from ovrs.errors import WeightsError
from ovrs.modeling.recognition import recognise

logger = logging.getLogger(__name__)

SHOWN = 8
TOLERATED = 0.01  # of a published file's names may be unknown here
# Published files keep these; they follow from the architecture, or belong to a loss (a queue of earlier pairs among them).
HARMLESS = (
    "attn_mask",
    "context_length",
    "input_resolution",
    "logit_bias",
    "num_batches_tracked",
    "position_ids",
    "queued_count",
    "queued_images",
    "queued_masks",
    "queued_prompts",
    "queued_texts",
    "queued_tokens",
    "relative_position_index",
    "vocab_size",
)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class WithoutInitialValues(TorchFunctionMode):
    """Modules built here by this thread get parameters with whatever was in memory, for :func:`load_state_dict` to fill.

    Left out is what ``torch.nn.init`` draws: for the small model half of the time in which it is built. On the meta device,
    which has no values, PyTorch would even import its compiler to draw from a normal distribution.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in the place of every function of PyTorch's."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            tensor = kwargs["tensor"] if "tensor" in kwargs else args[0]
            if isinstance(tensor, nn.Parameter):
                return tensor
        return func(*args, **kwargs)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Modules built here by this thread get parameters without memory or initial values, for :func:`load_state_dict` to fill.

    Buffers are real: those outside the state dict come from no file.
    """
    builder = threading.get_ident()

    def without_values(_module: nn.Module, _name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        if parameter is None or threading.get_ident() != builder:
            return None
        return nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)

    # Its signature says that the hook gives nothing; its documentation, that what it gives takes the parameter's place.
    handle = register_module_parameter_registration_hook(without_values)  # type: ignore[arg-type]
    try:
        with WithoutInitialValues():
            yield
    finally:
        handle.remove()


def load_state_dict(module: nn.Module, state: Mapping[str, Tensor], origin: str, *, published: bool = False) -> None:
    """``module.load_state_dict`` with an error that says what does not fit, grouped by the module that it belongs to.

    What is missing or of another shape is always an error, for it would stay random; only buffers that follow from the
    architecture may be missing. So is a name that the module does not have, unless it is known to do no harm (``HARMLESS``).
    Values must be finite, and floating-point where the module's are; half and double precision are brought to the module's,
    tensor by tensor.

    Parameters on the meta device (see :func:`parameters_on_meta`) become the tensors of ``state`` themselves where the
    precision is the same; others keep their memory and are written into, so that optimizers still know them.

    Args:
        module: gets the weights.
        state: tensors by the module's names.
        origin: the file, for messages.
        published: the file is a third party's: up to 1 % of its names may be unknown, with a warning that lists them.

    Raises:
        WeightsError: it does not fit; nothing has been written then. Names what is wrong, and what the file seems to be.
    """
    own = module.state_dict()
    # Weights for training on another class list never stand in the way; the module itself leaves them out.
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    needed = [n for n in own if "back_projection." not in n and (n in parameters or not n.endswith(HARMLESS))]
    missing = [name for name in needed if name not in state]
    unknown = [name for name in state if name not in own and not name.endswith(HARMLESS) and "back_projection." not in name]
    shared = [name for name in state if name in own]
    misfit = [_misfit(name, state[name], own[name]) for name in shared if "back_projection." not in name]
    wrong = [text for text in misfit if text]
    tolerated = published and len(unknown) <= TOLERATED * len(state)
    parts = [
        _list("missing", missing, needed),
        "" if tolerated else _list("not of this model", unknown, state),
        f"{len(wrong)} of another kind ({_cut(wrong)})" if wrong else "",
    ]
    if any(parts):
        foreign = recognise(state) if 2 * (len(missing) + len(wrong)) > len(needed) else ""
        hint = f"; the file looks like {foreign}" if foreign else ""
        raise WeightsError(f"{origin}: does not fit the configured model: {'; '.join(part for part in parts if part)}{hint}")
    if unknown:
        logger.warning("%s: %s, left out", origin, _list("not of this model", unknown, state))
    _put(module, {name: state[name] for name in shared}, own, origin)


def _misfit(name: str, value: Tensor, own: Tensor) -> str:
    """What keeps ``value`` from being ``own``; "" where nothing does."""
    if value.shape != own.shape:
        return f"{name} is {tuple(value.shape)} in the file, {tuple(own.shape)} in the model"
    kinds = (own.dtype in _FLOATS, value.dtype in _FLOATS)
    if all(kinds) or (not any(kinds) and not value.is_complex() and not value.is_floating_point()):
        return ""
    return f"{name} is {_dtype(value)} in the file, {_dtype(own)} in the model"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _put(module: nn.Module, state: Mapping[str, Tensor], own: Mapping[str, Tensor], origin: str) -> None:
    """Load tensors that fit; those of other precision are converted one at a time."""
    infinite = [name for name, value in state.items() if not _is_finite(value, own[name].dtype)]
    if infinite:
        raise WeightsError(
            f"{origin}: {_list('with NaN or infinite values', infinite, state)}; the training diverged or the file is damaged"
        )
    on_meta = any(value.is_meta for value in own.values())
    fitting = {name: value.to(own[name].dtype) for name, value in state.items()} if on_meta else dict(state)
    # What may be missing are buffers, which are never on meta: they stay as they were built.
    module.load_state_dict({**own, **fitting}, strict=True, assign=on_meta)
    left = [name for name, value in (*module.named_parameters(), *module.named_buffers()) if on_meta and value.is_meta]
    if left:
        raise RuntimeError(f"built without values, which are in no state dict either: {', '.join(left)}")


@torch.no_grad()
def _is_finite(value: Tensor, dtype: torch.dtype) -> bool:
    """Whether every number stays finite in ``dtype``; without a tensor beside it."""
    if not value.is_floating_point() or not value.numel():
        return True
    return all(bool(torch.isfinite(extreme.to(dtype))) for extreme in torch.aminmax(value))


def _list(what: str, names: Collection[str], universe: Collection[str]) -> str:
    return f"{len(names)} {what} ({_cut(_grouped(names, universe))})" if names else ""


def _cut(texts: list[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f"{', '.join(texts[:SHOWN])}{more}"


def _grouped(names: Collection[str], universe: Collection[str]) -> list[str]:
    """``names`` as "12 under visual.transformer.resblocks.11.*": the largest modules that have no other name in ``universe``.

    Where that leaves too many to read, by the first parts of their names.
    """
    inside = Counter(prefix for name in universe for prefix in _prefixes(name))
    meant = Counter(prefix for name in names for prefix in _prefixes(name))
    groups = _by(names, lambda name: next((prefix for prefix in _prefixes(name) if meant[prefix] == inside[prefix]), name))
    for depth in range(max(name.count(".") for name in names), 0, -1):
        if len(groups) <= SHOWN:
            break
        groups = _by(names, lambda name, depth=depth: (_prefixes(name)[:depth] or [name])[-1])  # type: ignore[misc]
    return [f"{len(members)} under {group}*" if len(members) > 1 else members[0] for group, members in groups.items()]


def _by(names: Collection[str], group_of: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(group_of(name), []).append(name)
    return groups


def _prefixes(name: str) -> list[str]:
    """``a.``, ``a.b.`` of ``a.b.c``."""
    parts = name.split(".")[:-1]
    return [".".join([*parts[:length], ""]) for length in range(1, len(parts) + 1)]
