"""The picture of a confusion matrix."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ovrs.vocabulary import BACKGROUND_NAME, Vocabulary

# Cells carry their figure up to this many classes; beyond, the figures would not be readable.
MOST_FIGURES = 24


def confusion_figure(counts: NDArray[np.int64], vocabulary: Vocabulary) -> Figure:
    """Shares of each true class (rows, in percent) by predicted class; unseen classes are starred, absent rows are grey."""
    columns = counts.shape[1] if counts[:, -1].any() else counts.shape[1] - 1
    truth = counts.sum(axis=1, keepdims=True)
    shares = np.full((len(counts), columns), np.nan)
    np.divide(100.0 * counts[:, :columns], truth, out=shares, where=truth > 0)
    rows = [cls.name if cls.seen else f"{cls.name} *" for cls in vocabulary.classes]
    labels = [*rows, BACKGROUND_NAME][:columns]
    side = 2.2 + (0.42 if columns <= MOST_FIGURES else 0.26) * columns
    figure = Figure(figsize=(side + 1, side), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("lightgrey")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(columns), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth (* unseen in training)" if "*" in "".join(rows) else "truth")
    if columns <= MOST_FIGURES:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                color = "white" if share > 55 else "black"
                axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image, ax=axes, label="% of the true class", shrink=0.7)
    return figure
