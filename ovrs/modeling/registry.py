"""Systems by name: the one that a configuration names is imported, registered with Detectron2 and built, and no other."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from detectron2.config import CfgNode

from ovrs.modeling.late_compiler import import_libraries

# The modules of ovrs.modeling that register them; ovrs.modeling.systems imports all.
SYSTEMS = {
    "AerOSeg": "aeroseg",
    "DenseAlignment": "dense_alignment",
    "MAFN": "mafn",
    "MetaSegNet": "metasegnet",
    "RSZeroSeg": "rs_zeroseg",
    "TSMNet": "tsmnet",
}


def build_model(cfg: CfgNode) -> Any:
    """Detectron2's ``build_model``, for which nothing need be imported beforehand.

    Names that are not ours are those of who registered them.

    Raises:
        ConfigError: the system cannot be built from these keys.
        KeyError: nobody has registered ``MODEL.META_ARCHITECTURE``.
    """
    import_libraries()
    if cfg.MODEL.META_ARCHITECTURE in SYSTEMS:
        import_module(f"ovrs.modeling.{SYSTEMS[cfg.MODEL.META_ARCHITECTURE]}")
    # Detectron2's models import torchvision: see above.
    from detectron2.modeling import build_model as build_registered

    return build_registered(cfg)
