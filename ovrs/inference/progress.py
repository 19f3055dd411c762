"""Progress on the terminal: a bar over images when there are several, and one over tiles when an image has several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm


class Bars:
    """The bars of one run, on standard error; as a context they are closed at its end."""

    def __init__(self, num_images: int) -> None:
        self._images = tqdm(total=num_images, unit="image", disable=num_images < 2)
        self._tiles: tqdm[Any] | None = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_tiles()
        self._images.close()

    def tiles(self, name: str) -> Callable[[int, int], None]:
        """A callback (tiles done, tiles in all) for the image of that name."""

        def update(done: int, total: int) -> None:
            if total < 2:
                return
            if self._tiles is None:
                self._tiles = tqdm(total=total, desc=name, unit="tile", leave=False)
            self._tiles.update(done - self._tiles.n)
            if done >= total:  # files of a large scene take their time too
                self._tiles.set_description(f"{name}, writing")

        return update

    def image_done(self) -> None:
        """One image is finished, or given up."""
        self._close_tiles()
        self._images.update()

    def write(self, text: str, file: TextIO) -> None:
        """Print a line, without breaking the bar over images and where the one over tiles was."""
        self._close_tiles()
        tqdm.write(text, file=file)

    def _close_tiles(self) -> None:
        if self._tiles is not None:
            self._tiles.close()
            self._tiles = None
