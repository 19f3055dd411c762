"""The page: its layout, and what happens when something on it is used."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ovrs.browser import panels
from ovrs.browser.guests import Guests, plain_words, vocabulary_of, words_of
from ovrs.errors import OvrsError
from ovrs.inference.scene import open_scene
from ovrs.inference.screen import screen_size
from ovrs.inference.sources import draw_source
from ovrs.vocabulary import Vocabulary
from ovrs.vocabulary_files import presets

HERE = Path(__file__).parent
ALL_CLASSES = "all classes"
FILE_TYPES = [".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp"]
DEFAULT_OPACITY = 55
# The seed of each drawn scene, and words that suit it.
EXAMPLES = {
    "marina": (22, "ship|boat, harbor|pier, bridge, building|house, road, tree, water"),
    "town": (8, "building|house|roof, road|street, tree, grass, vehicle|car, bare soil"),
    "fields": (23, "cropland|agricultural field, tree, road, water|pond, bare soil, building"),
}
WAITING = "Drop an image or pick an example."
ASK = "Segment an image, then click on the map: here are the scores of all classes at that pixel."


GREEN = gr.themes.Color(
    *("#eef6f2", "#d8eae2", "#b3d5c7", "#85baa5", "#4f9a80", "#2c7d64", "#14634f", "#125443", "#104538", "#0d382e", "#07211b")
)


class Quiet(gr.themes.Base):
    """Paper, ink and one green; type that is on the reader's machine, so that nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=GREEN,
            neutral_hue=gr.themes.colors.stone,
            radius_size=gr.themes.sizes.radius_sm,
            font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
            font_mono=("ui-monospace", "Consolas", "monospace"),
        )
        self.set(
            body_background_fill="#f7f6f2",
            body_background_fill_dark="#15181a",
            block_background_fill="transparent",
            block_background_fill_dark="transparent",
            block_border_width="0px",
            block_padding="0px",
            block_label_background_fill="transparent",
            block_label_border_width="0px",
            input_background_fill="#ffffff",
            input_background_fill_dark="#1d2124",
            input_border_color="#d3d0c6",
            input_border_color_dark="#3a4145",
            input_border_width="1px",
            button_primary_background_fill="*primary_600",
            button_primary_background_fill_hover="*primary_700",
            button_primary_background_fill_dark="*primary_500",
            button_primary_text_color="#ffffff",
            button_secondary_background_fill="#ffffff",
            button_secondary_background_fill_dark="#1d2124",
            button_secondary_border_color="#d3d0c6",
            button_secondary_border_color_dark="#3a4145",
            button_border_width="1px",
            slider_color="*primary_600",
            slider_color_dark="*primary_400",
        )


@dataclass(frozen=True)
class Page:
    """What happens on the page; every method is an event of it."""

    guests: Guests

    def show_image(self, upload: str | None, bands: str | None) -> tuple[Any, ...]:
        """An image was chosen: it is shown, and what belongs to the one before is cleared away."""
        sheet = panels.empty_map(WAITING)
        if upload:
            path, options = self.guests.upload(upload, bands)
            with open_scene(path, options) as scene:
                sheet = panels.image_map(scene.reduced(screen_size(scene.height, scene.width)), scene.place)
        return (sheet, *cleared())

    def segment(
        self,
        upload: str | None,
        words: str | None,
        background: str | None,
        threshold: float | None,
        bands: str | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for it here
    ) -> tuple[Any, ...]:
        """Make the map and show it."""
        vocabulary, least = vocabulary_of(words, background, threshold)

        def count(done: int, tiles: int) -> None:
            progress((done, tiles), desc="segmenting", unit="tiles")

        result = self.guests.segment(str(request.session_hash), upload, vocabulary, least, bands, count)
        screen = result.screen
        return (
            panels.layered_map(screen, screen.class_layer(), result.key, smooth=False),
            gr.Dropdown(choices=[ALL_CLASSES, *screen.scored], value=ALL_CLASSES, interactive=True),
            panels.legend(screen),
            _note(ASK),
            gr.DownloadButton(
                f"Map ({'GeoTIFF' if result.raster.suffix == '.tif' else 'PNG'})", value=str(result.raster), interactive=True
            ),
            gr.DownloadButton(value=str(result.vectors) if result.vectors else None, interactive=result.vectors is not None),
            gr.DownloadButton(value=str(result.overlay), interactive=True),
            _note(f"No polygons: {result.no_vectors}.") if result.no_vectors else "",
        )

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

    def choose_preset(self, name: str | None) -> tuple[Any, Any]:
        """A ready vocabulary was chosen: its words are put where they can be changed."""
        if not name:
            return gr.skip(), gr.skip()
        vocabulary = Vocabulary.preset(name)
        return words_of(vocabulary), ", ".join(vocabulary.background.words)

    def choose_example(self, event: gr.SelectData) -> tuple[str, str]:
        """An example was chosen; it is drawn where it is not there (any more)."""
        seed, words = list(EXAMPLES.values())[int(event.index)]
        return str(example(self.guests.uploads, seed)), words

    def leave(self, request: gr.Request) -> None:
        """The page was closed or loaded anew."""
        self.guests.leave(str(request.session_hash))


def cleared() -> tuple[Any, ...]:
    """Layer, legend, pixel, downloads and note without a map."""
    return (
        gr.Dropdown(choices=[ALL_CLASSES], value=ALL_CLASSES, interactive=False),
        _note("Colours and shares appear with the map."),
        _note(ASK),
        *[gr.DownloadButton(value=None, interactive=False)] * 3,
        "",
    )


def build_page(guests: Guests, model: str, waiting: int) -> gr.Blocks:
    """The page, to be launched by :func:`launch`.

    Args:
        model: what the page says of the model that it uses.
        waiting: how many may wait for their map; others are told to come back.
    """
    does = Page(guests)
    with gr.Blocks(title="ovrs", analytics_enabled=False, delete_cache=(600, int(guests.limits.idle)), fill_width=True) as page:
        _html(_header(model))
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="ask"):
                upload, examples = _image_controls(guests)
                preset, words, background, threshold, bands = _word_controls(guests)
                go = gr.Button("Segment", variant="primary", elem_id="go")
            with gr.Column(elem_id="look"):
                with gr.Row(elem_id="tools"):
                    layer = gr.Dropdown([ALL_CLASSES], value=ALL_CLASSES, label="Show", interactive=False, elem_id="layer")
                    opacity = gr.Slider(0, 100, DEFAULT_OPACITY, step=1, label="Opacity (%)", elem_id="opacity")
                sheet = _html(panels.empty_map(WAITING), elem_id="map", js_on_load=(HERE / "page.js").read_text("utf-8"))
            with gr.Column(elem_id="read"):
                _heading("Legend")
                legend = _html(_note("Colours and shares appear with the map."), elem_id="legend")
                _heading("Pixel")
                pixel = _html(_note(ASK), elem_id="pixel")
                _heading("Download")
                raster = gr.DownloadButton("Map", interactive=False, elem_id="raster", size="sm")
                vectors = gr.DownloadButton("Polygons (GeoPackage)", interactive=False, elem_id="vectors", size="sm")
                overlay = gr.DownloadButton("Overlay (PNG)", interactive=False, elem_id="overlay", size="sm")
                note = _html("", elem_id="note")
        _html('<p class="ovrs-note ovrs-bottom">A map is what a model makes of an image: look before you rely on it.</p>')

        shown = [layer, legend, pixel, raster, vectors, overlay, note]

        def on(
            event: Callable[..., Any], run: Callable[..., Any], inputs: Any = None, outputs: Any = None, **more: Any
        ) -> None:
            event(_plainly(run, guests), inputs, outputs, api_visibility="private", **more)

        on(upload.change, does.show_image, [upload, bands], [sheet, *shown], show_progress="hidden")
        on(examples.select, does.choose_example, None, [upload, words], show_progress="hidden")
        on(preset.input, does.choose_preset, preset, [words, background], show_progress="hidden")
        on(
            go.click,
            does.segment,
            [upload, words, background, threshold, bands],
            [sheet, *shown],
            concurrency_limit=1,
            concurrency_id="model",
            trigger_mode="once",
            show_progress_on=sheet,
        )
        on(layer.input, does.show_layer, layer, [sheet, legend], show_progress="hidden")
        on(sheet.pick, does.show_pixel, None, pixel, show_progress="hidden", trigger_mode="always_last")
        # Only the page's own style changes: nothing is sent, nothing is segmented.
        opacity.input(None, opacity, None, js="(v) => document.getElementById('map').style.setProperty('--cover', v / 100)")
        page.unload(does.leave)
    return page.queue(max_size=waiting, default_concurrency_limit=4)


def launch(page: gr.Blocks, host: str, port: int | None, max_bytes: int, **more: Any) -> Any:
    """Serve the page: to this computer alone unless ``host`` says otherwise; no share link, no interface for programs."""
    return page.launch(
        server_name=host,
        server_port=port,
        share=False,
        allowed_paths=[],
        max_file_size=max_bytes,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        footer_links=[],
        state_session_capacity=200,
        theme=Quiet(),
        css_paths=HERE / "page.css",
        **more,
    )


def example(folder: Path, seed: int) -> Path:
    """The drawn scene of a seed as a GeoTIFF, drawn once."""
    path = folder / f"scene_{seed}.tif"
    if not path.exists():
        draw_source(seed, folder)
    return path


def _image_controls(guests: Guests) -> tuple[gr.File, gr.Gallery]:
    _heading("Image")
    upload = gr.File(label="Image", show_label=False, file_types=FILE_TYPES, height=130, elem_id="upload")
    _html(_note("GeoTIFF, PNG, JPEG or WebP. Or a drawn example (synthetic):"))
    pictures = []
    for name, (seed, _) in EXAMPLES.items():
        with open_scene(example(guests.uploads, seed)) as scene:
            pictures.append((Image.fromarray(scene.reduced((160, 160))), name))
    examples = gr.Gallery(
        pictures, columns=3, allow_preview=False, show_label=False, elem_id="examples", height=120, buttons=[]
    )
    return upload, examples


def _word_controls(guests: Guests) -> tuple[gr.Dropdown, gr.Textbox, gr.Textbox, gr.Slider, gr.Textbox]:
    _heading("Words")
    words = gr.Textbox(
        label="Classes",
        info="Commas between classes, bars between words for the same one.",
        placeholder="ship|boat, bridge, water",
        lines=3,
        elem_id="words",
    )
    choices = [(f"{name.replace('_', ' ')}: {purpose}", name) for name, purpose in presets().items()]
    preset = gr.Dropdown(choices, value=None, label="Or begin with a ready list", elem_id="preset")
    with gr.Accordion("More", open=False, elem_id="more"):
        background = gr.Textbox(label="Background words", info="What they fit better is background.", elem_id="background")
        threshold = gr.Slider(0, 1, 0, step=0.01, label="Confidence threshold", info="Below it is background; 0 is off.")
        bands = gr.Textbox(
            label="Bands for red, green, blue", info="Of a GeoTIFF, from 1.", placeholder="4,3,2", elem_id="bands"
        )
    limits = guests.limits
    _html(_note(f"Up to {limits.pixels / 1e6:g} million pixels, {limits.bytes / 1e6:g} MB and {limits.names} names."))
    return preset, words, background, threshold, bands


def _plainly(run: Callable[..., Any], guests: Guests) -> Callable[..., Any]:
    """The event with its errors in plain words: a guest's mistakes in one line, ours on the terminal."""

    @wraps(run)
    def event(*args: Any, **more: Any) -> Any:
        try:
            return run(*args, **more)
        except OvrsError as error:
            raise gr.Error(plain_words(error, guests.uploads), title="", duration=15, print_exception=False) from None
        except gr.Error:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            told = "This failed inside of the demo, not for what you did; the terminal that it was started from says why."
            raise gr.Error(told, title="", duration=15, print_exception=False) from error

    return event


def _header(model: str) -> str:
    return (
        '<header class="ovrs-header"><h1>ovrs</h1><p>Segment aerial and satellite images by the words you give.</p>'
        f'<span class="ovrs-model">{model}</span></header>'
    )


def _html(text: str, **more: Any) -> gr.HTML:
    return gr.HTML(text, apply_default_css=False, **more)


def _heading(text: str) -> None:
    _html(f"<h2>{text}</h2>", elem_classes="ovrs-heading")


def _note(text: str) -> str:
    return f'<p class="ovrs-note">{text}</p>'
