"""Another image on the page: what stood beside the one before is taken away; SAR partners are of kinds that are read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio")
sys.path.append(str(Path(__file__).parents[1] / "inference"))

from pair_model import Pairs

from ovrs.browser.guests import Guests
from ovrs.browser.page import build_page
from ovrs.inference.segmenter import Segmenter


def test_what_was_beside_another_image_goes_with_it(tmp_path: Path) -> None:
    guests = Guests(Segmenter(Pairs()), tmp_path / "uploads", tmp_path / "uploads" / "results")
    page = build_page(guests, "model", 8)
    names = {part["id"]: part["props"].get("elem_id") for part in page.config["components"]}
    found = {}
    for event in page.config["dependencies"]:
        for part, trigger in event["targets"]:
            if names.get(part) == "upload" and "sar" in (outputs := [names[each] for each in event["outputs"]]):
                found[trigger] = outputs, page.fns[event["id"]].fn()
    taken = (["sar", "scale", "resample", "description"], (None, "as they tell", False, ""))
    # Not `change`, which an example sets off too: it comes with a partner of its own.
    assert found == {"upload": taken, "clear": taken, "delete": taken}
    (sar,) = [part["props"] for part in page.config["components"] if part["props"].get("elem_id") == "sar"]
    assert ".tif" in sar["file_types"] and ".webp" not in sar["file_types"]
