"""How a key of a data set is refused: by its value, and, of a description, by the file that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ovrs.errors import ConfigError, VocabularyError


class RefusedError(Exception):
    """A key, its value and what is wrong with it; :func:`naming_file` adds the file."""

    def __init__(self, key: str, value: object, wanted: str) -> None:
        super().__init__(f"{key} is {value!r}; {wanted}")


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Turn what is refused into a ConfigError that names the file."""
    try:
        yield
    except (VocabularyError, RefusedError) as error:
        raise ConfigError(f"{path}: {error}") from error


def refused_key(key: str, value: object, wanted: str) -> ConfigError:
    """The error for a key of ``DATASETS`` in a configuration."""
    return ConfigError(f"DATASETS.{key} is {value!r}; {wanted}")


def refuse_unknown(mapping: dict[Any, Any], known: set[str], prefix: str = "") -> None:
    """Raise RefusedError for a key that is not ``known``."""
    for key, value in mapping.items():
        if key not in known:
            raise RefusedError(f"{prefix}{key}", value, f"there is no such key; there are {', '.join(sorted(known))}")
