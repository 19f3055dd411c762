"""The language of pickle, read without its power: values are put together, names stay names, and nothing is looked up.

Python's own reader calls what a file names. This one knows the few operations that PyTorch writes; what a name would do is up
to the kinds of files (:mod:`ovrs.modeling.script_archives`, :mod:`ovrs.modeling.rehearsal`,
:mod:`ovrs.data.preparation.plain_pickle`), which refuse all but a handful, or all.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

MOST_OPERATIONS = 4_000_000  # some forty a tensor; each may take a hundred bytes
_PLAIN = ("BINUNICODE", "SHORT_BINSTRING", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")


@dataclass(frozen=True)
class Name:
    """Something that the file names, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class RefusedError(Exception):
    """What the file asks for and does not get."""


class Description:
    """The operations of a pickle, carried out on plain values alone.

    Args:
        text: of the pickle, or a file that stands at its beginning and is left at its end.
    """

    def __init__(self, text: bytes | BinaryIO) -> None:
        self.text = text
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.operations: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME"), lambda _: None),
            **dict.fromkeys(_PLAIN, self.stack.append),
            "NONE": lambda _: self.stack.append(None),
            "NEWTRUE": lambda _: self.stack.append(True),
            "NEWFALSE": lambda _: self.stack.append(False),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "TUPLE": lambda _: self.stack.append(tuple(self._since_mark())),
            "TUPLE1": lambda _: self.stack.append(tuple(self._last(1))),
            "TUPLE2": lambda _: self.stack.append(tuple(self._last(2))),
            "TUPLE3": lambda _: self.stack.append(tuple(self._last(3))),
            "APPEND": lambda _: self._extend(self._last(1)),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._set(self._last(2)),
            "SETITEMS": lambda _: self._set(self._since_mark()),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda key: self.memo.__setitem__(key, self.stack[-1])),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda key: self.stack.append(self.memo[key])),
            "GLOBAL": lambda name: self.stack.append(Name(*name.split(" ", 1))),
            "BINPERSID": lambda _: self.stack.append(self.stored(self.stack.pop())),
            "NEWOBJ": lambda _: self.stack.append(self.new(*self._last(2))),
            "REDUCE": lambda _: self.stack.append(self.called(*self._last(2))),
            "BUILD": lambda _: self.stack.append(self.with_state(*self._last(2))),
        }

    def value(self) -> Any:
        """What the description comes to."""
        for number, (operation, argument, _) in enumerate(pickletools.genops(self.text)):
            if number > MOST_OPERATIONS:
                raise RefusedError(f"more than {MOST_OPERATIONS:,} operations of pickle")
            if operation.name == "STOP":
                return self.stack.pop()
            if operation.name not in self.operations:
                raise RefusedError(f"the pickle operation {operation.name}")
            self.operations[operation.name](argument)
        raise ValueError("its description has no end")

    def stored(self, identity: Any) -> Any:
        """What stands for values that lie elsewhere in the file."""
        raise NotImplementedError

    def new(self, kind: Any, arguments: Any) -> Any:
        """An object of a class."""
        raise NotImplementedError

    def called(self, function: Any, arguments: Any) -> Any:
        """What a call gives."""
        raise NotImplementedError

    def with_state(self, target: Any, state: Any) -> Any:
        """``target``, given a state."""
        raise NotImplementedError

    def _last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("its description takes what it never put down")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise RefusedError(f"entries added to {said(self.stack[-1])}")
        self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str | int | float | None) for key in items[::2]):
            raise RefusedError(f"entries set on {said(self.stack[-1])}")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))


def said(value: Any) -> str:
    """A value in a message; a hostile one's full text could be endless."""
    return str(value) if isinstance(value, Name) else f"a {type(value).__name__.removeprefix('_').lower()}"
