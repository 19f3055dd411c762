"""The seasons that a prompt can speak of."""

from __future__ import annotations

SEASONS = {
    "winter": "winter",
    "spring": "spring",
    "summer": "summer",
    "autumn": "autumn",
    "dry": "the dry season",
    "rainy": "the rainy season",
}
"""How a prompt says each, under the short name by which users choose it."""
