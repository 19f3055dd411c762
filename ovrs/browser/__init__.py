"""The demo's page: guests and their limits, what the panels say, and the layout with its events (gradio)."""
