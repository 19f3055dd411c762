"""Pickles of plain values, as older data sets come in, read once and without their power to call.

RefCOCO's format, which RRSIS-D follows, keeps its references as a pickle of lists, dicts, texts and numbers. Nothing else is
read: a pickle that names anything is refused by that name, which is never looked up.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ovrs.errors import DataError
from ovrs.pickle_descriptions import Description, Name, RefusedError, said

# What protocols 0 to 5 write for plain values, beyond what Description knows.
_PLAIN = ("UNICODE", "SHORT_BINUNICODE", "STRING", "BINSTRING", "INT", "LONG", "FLOAT", "LONG4")


class _Plain(Description):
    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.operations |= {
            **dict.fromkeys(_PLAIN, self.stack.append),
            "LIST": lambda _: self.stack.append(self._since_mark()),
            "DICT": lambda _: self._put_dict(self._since_mark()),
            "PUT": lambda key: self.memo.__setitem__(key, self.stack[-1]),
            "GET": lambda key: self.stack.append(self.memo[key]),
            "MEMOIZE": lambda _: self.memo.__setitem__(len(self.memo), self.stack[-1]),
            "GLOBAL": lambda name: self._refuse(Name(*name.split(" ", 1))),
            "INST": lambda name: self._refuse(Name(*name.split(" ", 1))),
            "STACK_GLOBAL": lambda _: self._refuse(Name(*map(str, self._last(2)))),
        }

    def stored(self, identity: Any) -> NoReturn:
        raise RefusedError("values that lie elsewhere")

    def new(self, kind: Any, arguments: Any) -> NoReturn:
        raise RefusedError(f"an object of {said(kind)}")

    def called(self, function: Any, arguments: Any) -> NoReturn:
        raise RefusedError(f"a call of {said(function)}")

    def with_state(self, target: Any, state: Any) -> NoReturn:
        raise RefusedError(f"a state for {said(target)}")

    def _put_dict(self, items: list[Any]) -> None:
        self.stack.append({})
        self._set(items)

    def _refuse(self, name: Name) -> NoReturn:
        raise RefusedError(str(name)[:200])


def read_plain_pickle(data: bytes, name: str) -> Any:
    """What a pickle of lists, tuples, dicts, texts, numbers, booleans and None holds; nothing that it names is looked up.

    Memory is bounded by the size of the pickle and the number of its operations.

    Args:
        data: the pickle.
        name: what messages call it.

    Raises:
        DataError: it asks for anything else, or is damaged.
    """
    try:
        return _Plain(data).value()
    except RefusedError as error:
        raise DataError(
            f"{name}: asks for {error}, and only lists, dicts, texts and numbers are read; nothing of it was run; "
            "download it again from its owner"
        ) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise DataError(f"{name}: is no pickle that can be read, or is damaged ({error}); download it again") from error
