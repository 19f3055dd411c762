"""Lines that tell the user what a model makes no use of."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class Hints:
    """Says each hint once, as a line ``hint: ...`` of the log; without a log set up it goes to standard error."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, hint: str) -> None:
        """Say it, unless it was said."""
        if hint not in self._said:
            self._said.add(hint)
            logger.warning("hint: %s", hint)

    def described(self, description: str, *, read: bool) -> tuple[tuple[str, str], ...]:
        """For the tags of what is written: what was said of the scene, if the model does ``read`` it. If not, a hint."""
        if description and not read:
            self.say("this model reads words alone: what is said of the whole scene (the description) changes nothing")
        return (("DESCRIPTION", description),) if description and read else ()
