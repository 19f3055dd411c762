"""torchvision and timm without PyTorch's compiler, which they import for names that they hardly ever use."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

COMPILER, UTILITIES = "torch._dynamo", "torch._dynamo.utils"
_LOCK = threading.Lock()


def import_libraries() -> None:
    """Import torchvision and timm, and ``torch._dynamo`` only when something of it is called.

    The compiler, its backends and sympy are 900 modules, a third of all that the demo would import. torchvision's RoIAlign
    wants one function of them, to call it on GPUs that compute deterministically; timm marks five methods of a model for
    images of any shape as not to be compiled. Import the two here before what imports them (Detectron2 does).

    While they are imported, a module stands in the compiler's place that loads it as soon as it is asked for anything else, and
    ``torch.compiler.disable`` marks as PyTorch marks its own optimizers, which load the compiler when they are first called.
    Afterwards all is as it was; libraries that need neither are imported as ever.
    """
    with _LOCK:
        if COMPILER in sys.modules:
            return
        with _stand_in(), _late_marks():
            importlib.import_module("torchvision")
            importlib.import_module("timm")


class LateUtilities(ModuleType):
    """In the place of ``torch._dynamo.utils``."""

    def is_compile_supported(self, device_type: str) -> bool:
        """torch's own answer."""
        return bool(self._real().is_compile_supported(device_type))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # questions of Python's import, to which a plain module has no answer
            raise AttributeError(name)
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        if sys.modules.get(UTILITIES) is self:
            del sys.modules[UTILITIES]
        return importlib.import_module(UTILITIES)


@contextmanager
def _stand_in() -> Iterator[None]:
    late = sys.modules[UTILITIES] = LateUtilities(UTILITIES)
    try:
        yield
    finally:
        if sys.modules.get(UTILITIES) is late:
            del sys.modules[UTILITIES]


@contextmanager
def _late_marks() -> Iterator[None]:
    def mark(fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
        return torch._disable_dynamo(fn, recursive)

    own = torch.compiler.disable
    torch.compiler.disable = mark
    try:
        yield
    finally:
        torch.compiler.disable = own
