"""Time and memory against the number of classes, as a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from ovrs.benchmark.report import Figures
from ovrs.benchmark.tables import name_of
from ovrs.files import written_whole

_INCHES = (11.0, 4.8)
_DPI = 130


def draw(path: Path, results: Sequence[Figures]) -> bool:
    """Write the picture, a line for each system with all else alike; False, and no file, where nothing was timed.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = series(results)
    if not lines:
        return False
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    for label, points in lines.items():
        classes, seconds, memory = zip(*sorted(points), strict=True)
        axes[0].plot(classes, seconds, marker="o", markersize=4, label=label)
        axes[1].plot(classes, memory, marker="o", markersize=4)
    for axis, title in zip(axes, ("seconds", "peak memory [GiB]"), strict=True):
        axis.set(xscale="log", xlabel="classes", title=title, ylim=(0, None))
        axis.set_xticks(sorted({each["setting"]["classes"] for each in results}))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    with written_whole(path) as temporary:
        figure.savefig(temporary)
    return True


def series(results: Sequence[Figures]) -> dict[str, list[tuple[int, float, float]]]:
    """Of each line its points: classes, median seconds, GiB."""
    timed = [each for each in results if "seconds" in each]
    names = ("mode", "form", "precision", "size", "batch", "rotations", "threads")
    shown = [name for name in names if len({each["setting"][name] for each in timed}) > 1]
    lines = defaultdict(list)
    for each in timed:
        setting = each["setting"]
        words = [name_of(setting), *(f"{name} {setting[name]}" for name in shown)]
        memory = each["peak_gib"] if each["peak_gpu_gib"] is None else each["peak_gpu_gib"]
        lines[", ".join(words)].append((setting["classes"], each["seconds"]["whole"]["median"], memory))
    return dict(lines)
