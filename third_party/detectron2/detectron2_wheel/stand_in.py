"""Stands in for Detectron2's compiled extension, which this pure-Python build does not have.

Detectron2 imports the module in many places and asks it three questions for its report of the environment; those are
answered. Whatever else is looked up is a compiled operator, and the error says so.
"""


def get_compiler_version() -> str:
    """Return what the environment report prints as Detectron2's compiler."""
    return "none (pure-Python build)"


def get_cuda_version() -> str:
    """Return what the environment report prints as the CUDA version Detectron2 was compiled with."""
    return "none (pure-Python build)"


def has_cuda() -> bool:
    """Return whether operators were compiled for CUDA: there are none."""
    return False


def __getattr__(name: str) -> object:
    # An AttributeError also for operators: hasattr, getattr with a default and `from detectron2._C import x` rely on it.
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: this Detectron2 is a pure-Python build without compiled operators; "
        "install an official Detectron2 build to use them"
    )
