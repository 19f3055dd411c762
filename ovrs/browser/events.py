"""What happens when something on the page is used."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from ovrs.browser import panels
from ovrs.browser.beside import GUESSED, Beside
from ovrs.browser.examples import Gallery
from ovrs.browser.guests import Guests, Result
from ovrs.browser.messages import plain_words
from ovrs.browser.questions import question_of, words_of
from ovrs.errors import OvrsError
from ovrs.inference.opening import open_scene
from ovrs.inference.screen import screen_size
from ovrs.vocabulary import Vocabulary

ALL_CLASSES = "all classes"
# How long an error is shown.
SECONDS = 15
WAITING = "Drop an image or pick an example."
LEGEND = "Colours and shares appear with the map."
ASK = "Segment an image, then click on the map: here are the scores of all classes at that pixel."


@dataclass(frozen=True)
class Events:
    """Every method is an event of the page."""

    guests: Guests
    gallery: Gallery

    def show_image(self, upload: str | None, bands: str | None) -> tuple[Any, ...]:
        """An image was chosen: it is shown, and what belongs to the one before is cleared away."""
        sheet = panels.empty_map(WAITING)
        if upload:
            try:
                path, options = self.guests.upload(upload, bands)
                with open_scene(path, options) as scene:
                    sheet = panels.image_map(scene.reduced(screen_size(scene.height, scene.width)), scene.place)
            except OvrsError as error:
                told = plain_words(error, self.guests.uploads)
                gr.Warning(escape(told), title="This image cannot be used", duration=SECONDS)
                sheet = panels.empty_map(told)
        return (sheet, *cleared())

    def segment(
        self,
        upload: str | None,
        words: str | None,
        one_sentence: bool,
        background: str | None,
        threshold: float | None,
        bands: str | None,
        sar: str | None,
        scale: str | None,
        resample: bool,
        description: str | None,
        where: str | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for it here
    ) -> tuple[Any, ...]:
        """Make the map and show it."""
        vocabulary, least = question_of(words, one_sentence, background, threshold)

        def count(done: int, tiles: int) -> None:
            progress((done, tiles), desc="segmenting", unit="tiles")

        beside = Beside(sar, scale, resample, description or "", where or "")
        result = self.guests.segment(str(request.session_hash), upload, vocabulary, least, bands, count, beside)
        screen = result.screen
        return (
            panels.layered_map(screen, screen.class_layer(), result.key, smooth=False),
            gr.Dropdown(choices=[ALL_CLASSES, *screen.scored], value=ALL_CLASSES, interactive=True),
            panels.legend(screen),
            panels.note(ASK),
            gr.DownloadButton(
                f"Map ({'GeoTIFF' if result.raster.suffix == '.tif' else 'PNG'})", value=str(result.raster), interactive=True
            ),
            gr.DownloadButton(value=str(result.vectors) if result.vectors else None, interactive=result.vectors is not None),
            gr.DownloadButton(value=str(result.overlay), interactive=True),
            self.remarks(result),
        )

    def remarks(self, result: Result) -> str:
        """Where the image was taken, how a sentence was read, what the model lacked, and why there are no polygons."""
        read = [f"{line[:1].upper()}{line[1:]}." for line in result.read.splitlines()]
        missing = [f"No polygons: {result.no_vectors}."] if result.no_vectors else []
        told = [f"{line[:1].upper()}{line[1:]}" for line in result.told]
        return "".join(panels.note(plain_words(line, self.guests.uploads)) for line in (*told, *read, *missing))

    def show_layer(self, name: str, request: gr.Request) -> tuple[str, str]:
        """Another layer was chosen."""
        result = self.guests.result(str(request.session_hash))
        screen, run = result.screen, result.key
        if name == ALL_CLASSES:
            return panels.layered_map(screen, screen.class_layer(), run, smooth=False), panels.legend(screen)
        layer, top = screen.heat_layer(name)
        return panels.layered_map(screen, layer, run, smooth=True), panels.heat_scale(name, top) + panels.legend(screen)

    def show_pixel(self, request: gr.Request, event: gr.EventData) -> str:
        """The map was clicked on."""
        screen = self.guests.result(str(request.session_hash)).screen
        row, column = screen.pixel_at(float(event.across), float(event.down))
        return panels.pixel(screen, row, column)

    def choose_preset(self, name: str | None) -> tuple[Any, Any, Any]:
        """A ready vocabulary was chosen: its words are put where they can be changed."""
        if not name:
            return gr.skip(), gr.skip(), gr.skip()
        vocabulary = Vocabulary.preset(name)
        return words_of(vocabulary), False, ", ".join(vocabulary.background.words)

    def take_away(self) -> tuple[None, str, bool, str]:
        """Another image was uploaded, or none is left: what was beside the one before does not belong to it."""
        return None, GUESSED, False, ""

    def find_place(self, upload: str | None, bands: str | None) -> str:
        """An image was chosen or taken away: where it says that it was taken, for a model that reads that."""
        return self.guests.coordinates(upload, bands) if upload and self.guests.segmenter.reads_places else ""

    def choose_example(self, event: gr.SelectData) -> tuple[str, str, bool, str | None, str, bool, str]:
        """An example was chosen; it is drawn where it is not there (any more). What was another image's is taken away."""
        example = self.gallery.examples[int(event.index)]
        drawn = self.gallery[example]
        sar = None if drawn.source.sar is None else str(drawn.source.sar)
        return str(drawn.source.path), example.words, False, sar, GUESSED, False, drawn.description

    def leave(self, request: gr.Request) -> None:
        """The page was closed or loaded anew."""
        self.guests.leave(str(request.session_hash))


def cleared() -> tuple[Any, ...]:
    """Layer, legend, pixel, downloads and note without a map."""
    return (
        gr.Dropdown(choices=[ALL_CLASSES], value=ALL_CLASSES, interactive=False),
        panels.note(LEGEND),
        panels.note(ASK),
        *[gr.DownloadButton(value=None, interactive=False)] * 3,
        "",
    )


def plainly(run: Callable[..., Any], guests: Guests) -> Callable[..., Any]:
    """The event with its errors in plain words: a guest's mistakes in one line, ours on the terminal.

    gradio shows a message as HTML, so that names and words in it are escaped.
    """

    @wraps(run)
    def event(*args: Any, **more: Any) -> Any:
        try:
            return run(*args, **more)
        except OvrsError as error:
            told = escape(plain_words(error, guests.uploads))
            raise gr.Error(told, duration=SECONDS, print_exception=False) from None
        except gr.Error:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            told = "This failed inside of the demo, not for what you did; the terminal that it was started from says why."
            raise gr.Error(told, duration=SECONDS, print_exception=False) from error

    return event
