"""How the page looks: colours, type and lines, as gradio's theme; what that cannot say is in page.css."""

from __future__ import annotations

import gradio as gr

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
            background_fill_primary="#ffffff",
            background_fill_primary_dark="#1d2124",
            background_fill_secondary_dark="#262b2e",
            border_color_primary="#d3d0c6",
            border_color_primary_dark="#3a4145",
            body_text_color_subdued="#686d70",
            body_text_color_subdued_dark="#9aa0a3",
            block_info_text_color="#686d70",
            block_info_text_color_dark="#9aa0a3",
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
            input_placeholder_color="#7b8083",
            input_placeholder_color_dark="#878d90",
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
