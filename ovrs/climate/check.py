"""What must be true of sentences and of a bank of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ovrs.climate.bank import plain


def answer_problems(text: str, names: Sequence[str], most_words: int) -> list[str]:
    """What is wrong with a sentence about a class that goes by ``names``; empty where nothing is."""
    problems = []
    if not re.fullmatch(r"[A-Z][^.!?]*\.", text):
        problems.append("is not one sentence that begins with a capital and ends in a full stop")
    if len(text.split()) > most_words:
        problems.append(f"has {len(text.split())} words; {most_words} are allowed")
    if not mentions(text, names):
        problems.append(f"does not mention {names[0]!r}")
    return problems


def mentions(text: str, names: Sequence[str]) -> bool:
    """Whether a sentence says one of the names, in singular or plural."""
    words = plain(re.sub(r"[^\w\s-]", " ", text))
    return any(f" {form} " in f" {words} " for name in names for form in _forms(plain(name)))


def _forms(name: str) -> set[str]:
    forms = {name, f"{name}s", f"{name}es", re.sub(r"y$", "ies", name)}
    return forms | ({name.removesuffix("s")} if name.endswith("s") and not name.endswith("ss") else set())
