"""The page: its controls, where they stand, and which event belongs to which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ovrs.browser import panels
from ovrs.browser.beside import GUESSED
from ovrs.browser.events import ALL_CLASSES, ASK, LEGEND, WAITING, Events, plainly
from ovrs.browser.examples import Gallery
from ovrs.browser.guests import Guests
from ovrs.browser.theme import Quiet
from ovrs.data.sar.encoding import SCALES
from ovrs.inference.opening import open_scene
from ovrs.inference.segmenter import Segmenter
from ovrs.vocabulary_files import presets

HERE = Path(__file__).parent
FILE_TYPES = [".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp"]
# A SAR partner is no WebP (see ovrs.data.sar.raster.DRIVERS).
SAR_TYPES = [each for each in FILE_TYPES if each != ".webp"]
DEFAULT_OPACITY = 55


def build_page(guests: Guests, model: str, waiting: int) -> gr.Blocks:
    """The page, to be launched by :func:`launch`.

    Args:
        model: what the page says of the model that it uses.
        waiting: how many may wait for their map; others are told to come back.
    """
    gallery = Gallery(guests.segmenter, guests.uploads)
    does = Events(guests, gallery)
    with gr.Blocks(title="ovrs", analytics_enabled=False, delete_cache=(600, int(guests.limits.idle)), fill_width=True) as page:
        _html(_header(model))
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="ask"):
                upload, examples = _image_controls(gallery)
                sar, scale, resample, description, where = _controls_beside(guests.segmenter)
                preset, words, sentence, background, threshold, bands = _word_controls(guests)
                go = gr.Button("Segment", variant="primary", elem_id="go")
            with gr.Column(elem_id="look"):
                with gr.Row(elem_id="tools"):
                    layer = gr.Dropdown([ALL_CLASSES], value=ALL_CLASSES, label="Show", interactive=False, elem_id="layer")
                    opacity = gr.Slider(0, 100, DEFAULT_OPACITY, step=1, label="Opacity (%)", elem_id="opacity")
                sheet = _html(panels.empty_map(WAITING), elem_id="map", js_on_load=(HERE / "page.js").read_text("utf-8"))
            with gr.Column(elem_id="read"):
                _heading("Legend")
                legend = _html(panels.note(LEGEND), elem_id="legend")
                _heading("Pixel")
                pixel = _html(panels.note(ASK), elem_id="pixel")
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
            event(plainly(run, guests), inputs, outputs, api_visibility="private", **more)

        on(upload.change, does.show_image, [upload, bands], [sheet, *shown], show_progress="hidden")
        on(upload.change, does.find_place, [upload, bands], where, show_progress="hidden")
        # Of what a guest does to the image, not of an example, which brings its own.
        for event in (upload.upload, upload.clear, upload.delete):
            on(event, does.take_away, None, [sar, scale, resample, description], show_progress="hidden")
        filled = [upload, words, sentence, sar, scale, resample, description]
        on(examples.select, does.choose_example, None, filled, show_progress="hidden")
        # `input` is sent twice for a click; the second answer would overwrite what was typed after the first.
        on(preset.change, does.choose_preset, preset, [words, sentence, background], show_progress="hidden")
        on(
            go.click,
            does.segment,
            [upload, words, sentence, background, threshold, bands, sar, scale, resample, description, where],
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


def _image_controls(gallery: Gallery) -> tuple[gr.File, gr.Gallery]:
    _heading("Image")
    upload = gr.File(label="Image", show_label=False, file_types=FILE_TYPES, height=130, elem_id="upload")
    _html(panels.note("GeoTIFF, PNG, JPEG or WebP. Or a drawn example (synthetic):"))
    pictures = []
    for example in gallery.examples:
        with open_scene(gallery[example].source.path) as scene:
            pictures.append((Image.fromarray(scene.reduced((160, 160))), example.name))
    examples = gr.Gallery(
        pictures, columns=3, allow_preview=False, show_label=False, elem_id="examples", height=120, buttons=[]
    )
    return upload, examples


def _controls_beside(segmenter: Segmenter) -> tuple[gr.File, gr.Dropdown, gr.Checkbox, gr.Textbox, gr.Textbox]:
    """Of what only some models read; not shown where the model does not."""
    radar, told = segmenter.reads_sar, segmenter.reads_descriptions
    sar = gr.File(label="SAR partner, on the same grid", file_types=SAR_TYPES, height=90, elem_id="sar", visible=radar)
    scale = gr.Dropdown([GUESSED, *SCALES], value=GUESSED, label="SAR values", elem_id="scale", visible=radar)
    resample = gr.Checkbox(label="Lay SAR onto the image's grid", elem_id="resample", visible=radar)
    description = gr.Textbox(
        label="The whole scene",
        info="What one would say of it; it need not be said.",
        placeholder="a river town after a flood",
        elem_id="description",
        visible=told,
    )
    where = gr.Textbox(
        label="Where (place, zone or coordinates)",
        info="A GeoTIFF says it itself; of other images the model is told nothing unless you do.",
        placeholder="Dubai, or BWh, or 25.2, 55.3",
        elem_id="where",
        visible=segmenter.reads_places,
    )
    return sar, scale, resample, description, where


def _word_controls(guests: Guests) -> tuple[gr.Dropdown, gr.Textbox, gr.Checkbox, gr.Textbox, gr.Slider, gr.Textbox]:
    _heading("Words")
    words = gr.Textbox(
        label="Classes",
        info="Commas between classes, bars between words for the same one.",
        placeholder="ship|boat, bridge, water",
        lines=3,
        elem_id="words",
    )
    sentence = gr.Checkbox(label="One sentence: “the ship on the left”", elem_id="sentence")
    choices = [(f"{name.replace('_', ' ')}: {purpose}", name) for name, purpose in presets().items()]
    preset = gr.Dropdown(choices, value=None, label="Or begin with a ready list", elem_id="preset")
    with gr.Accordion("More", open=False, elem_id="more"):
        background = gr.Textbox(label="Background words", info="What they fit better is background.", elem_id="background")
        threshold = gr.Slider(0, 1, 0, step=0.01, label="Confidence threshold", info="Below it is background; 0 is off.")
        bands = gr.Textbox(
            label="Bands for red, green, blue", info="Of a GeoTIFF, from 1.", placeholder="4,3,2", elem_id="bands"
        )
    limits = guests.limits
    _html(panels.note(f"Up to {limits.pixels / 1e6:g} million pixels, {limits.bytes / 1e6:g} MB and {limits.names} names."))
    return preset, words, sentence, background, threshold, bands


def _header(model: str) -> str:
    return (
        '<header class="ovrs-header"><h1>ovrs</h1><p>Segment aerial and satellite images by the words you give.</p>'
        f'<span class="ovrs-model">{model}</span></header>'
    )


def _html(text: str, **more: Any) -> gr.HTML:
    return gr.HTML(text, apply_default_css=False, **more)


def _heading(text: str) -> None:
    _html(f"<h2>{text}</h2>", elem_classes="ovrs-heading")
