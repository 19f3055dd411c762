"""Writing a system with a fixed vocabulary as ONNX or as a torch.export program, checked against PyTorch before it is kept."""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ovrs.errors import OutputError
from ovrs.inference.fixed_vocabulary import LARGEST, FixedVocabulary

OPSET = 20
TOLERANCE = 1e-3
SUFFIXES = (".onnx", ".pt2")
Size = tuple[int, int]


@dataclass
class Exported:
    """What was written, and how it compares with PyTorch.

    Attributes:
        program: torch's graph.
        size: height and width of the example, and of every image where they are fixed.
        fixed: why height and width are fixed; "" where they are open.
        error: greatest difference of a score from PyTorch's, as a share of the spread of PyTorch's scores, by size.
        seconds: a pass in PyTorch and of what was written, at ``size``.
    """

    program: torch.export.ExportedProgram
    size: Size
    fixed: str
    error: dict[Size, float] = field(default_factory=dict)
    seconds: tuple[float, float] = (0.0, 0.0)


def trace(module: FixedVocabulary, size: Size, *, batch: int = 1, open_sizes: bool = True) -> Exported:
    """The graph of ``module``, with open height and width where ``open_sizes`` asks for them and its operators allow.

    Raises:
        OutputError: the system cannot be traced at this size.
    """
    fixed = module.why_fixed() if open_sizes else "as asked"
    if not fixed:
        rounded = (_rounded(size[0], module), _rounded(size[1], module))
        try:
            return Exported(_program(module, rounded, batch, open_sizes=True), rounded, "")
        except Exception as error:  # the tracer raises many kinds; all mean that an operator branches on the size
            fixed = f"the tracer could not leave them open: {_first_line(error)}"
    try:
        return Exported(_program(module, size, batch, open_sizes=False), size, fixed)
    except Exception as error:
        raise OutputError(
            f"{type(module.system).__name__} cannot be traced at {size[0]} x {size[1]} pixels: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _rounded(length: int, module: FixedVocabulary) -> int:
    multiple = module.multiple()
    return max(-(-length // multiple) * multiple, module.smallest())


def _program(module: FixedVocabulary, size: Size, batch: int, *, open_sizes: bool) -> torch.export.ExportedProgram:
    shapes = None
    if open_sizes:
        multiple, least = module.multiple(), module.smallest()
        height, width = (
            multiple * torch.export.Dim(name, min=least // multiple, max=LARGEST // multiple) for name in ("rows", "columns")
        )
        shapes = ({2: height, 3: width},)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about itself
        return torch.export.export(module, (picture(size, batch),), dynamic_shapes=shapes, strict=False)


def write(exported: Exported, module: FixedVocabulary, path: Path, description: dict[str, Any]) -> None:
    """Write ``path`` (``.onnx`` or ``.pt2``) and its description beside it (``.json``), once it agrees with PyTorch.

    Weights of more than 2 GB lie in a file of their own beside an ``.onnx``, which that names.

    Raises:
        OutputError: another suffix, packages are missing, the file cannot be written, or its scores are not PyTorch's.
    """
    if path.suffix not in SUFFIXES:
        raise OutputError(f"{path}: exports end in {' or '.join(SUFFIXES)}")
    with _written_together(path) as folder:
        target = folder / path.name
        if path.suffix == ".onnx":
            _write_onnx(exported.program, target)
        else:
            torch.export.save(exported.program, target)
        _compare(exported, module, _runner(target), path)
        about = {**description, **_figures(exported, module)}
        (folder / f"{path.stem}.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise OutputError("ONNX needs onnx, onnxscript and onnxruntime: pip install 'ovrs[export]'") from error
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnx = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=OPSET, output_names=["scores"])
    assert onnx is not None
    onnx.save(path)


def _runner(path: Path) -> Callable[[Tensor], Tensor]:
    """What reads a written file back: images to scores."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()
    try:
        import onnxruntime
    except ImportError as error:
        raise OutputError("checking an ONNX file needs onnxruntime: pip install 'ovrs[export]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def _compare(exported: Exported, module: FixedVocabulary, run: Callable[[Tensor], Tensor], path: Path) -> None:
    """Fill in ``error`` and ``seconds``; two sizes where they are open."""
    batch = int(exported.program.example_inputs[0][0].shape[0])
    sizes = [exported.size]
    if not exported.fixed:
        sizes.append((exported.size[0] + module.multiple(), module.smallest()))
    for size in sizes:
        image = picture(size, batch)
        reference = module(image)
        difference = (run(image).detach() - reference).abs().max() / (reference.max() - reference.min()).clamp(min=1e-6)
        exported.error[size] = float(difference)
        if not exported.error[size] <= TOLERANCE:
            raise OutputError(
                f"{path}: at {size[0]} x {size[1]} pixels its scores differ from PyTorch's by {difference:.2g} of their "
                f"spread; {TOLERANCE:g} is allowed, and nothing was written"
            )
    image = picture(exported.size, batch)
    exported.seconds = _seconds(lambda: module(image), lambda: run(image))


def _seconds(one: Callable[[], object], other: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Medians of both, taken in turn: what else the computer does then slows both alike."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, seconds in zip((one, other), taken, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _figures(exported: Exported, module: FixedVocabulary) -> dict[str, Any]:
    """What the description says of sizes and agreement."""
    height, width = exported.size
    if exported.fixed:
        sizes: dict[str, Any] = {"height": height, "width": width, "why_fixed": exported.fixed}
    else:
        side = {"multiple_of": module.multiple(), "least": module.smallest(), "most": LARGEST}
        sizes = {"height": side, "width": side}
    return {
        "sizes": {"batch": int(exported.program.example_inputs[0][0].shape[0]), **sizes},
        "agreement": {
            "measure": "greatest difference of a score from PyTorch's, divided by the spread of PyTorch's scores",
            "error": {f"{size[0]}x{size[1]}": error for size, error in exported.error.items()},
        },
    }


def picture(size: Size, batch: int) -> Tensor:
    """A picture with structure at several scales, uint8 [batch, 3, *size], the same every time."""
    generator = torch.Generator().manual_seed(size[0] * 10007 + size[1])
    image = torch.zeros(batch, 3, *size)
    for cells in (3, 12, 48):
        noise = torch.rand(batch, 3, cells, cells, generator=generator)
        image += torch.nn.functional.interpolate(noise, size=size, mode="bilinear") * 85
    return image.to(torch.uint8)


@contextmanager
def _written_together(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` whose files take their places at the end, all of them whole; removed on an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as name:
            folder = Path(name)
            yield folder
            for file in _model_last(sorted(folder.iterdir()), path.name):
                file.replace(path.parent / file.name)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _model_last(files: Sequence[Path], name: str) -> list[Path]:
    return sorted(files, key=lambda file: file.name == name)
