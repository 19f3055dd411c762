"""The demo's page: guests and their limits, what the panels and messages say, the events, the layout and its theme (gradio)."""
