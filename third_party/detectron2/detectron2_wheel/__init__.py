"""The recipe of a pure-Python Detectron2 wheel: the pinned sources, what is changed in them, and the build backend."""
