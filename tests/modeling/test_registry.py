"""Systems by name, and what stands in the compiler's place while libraries are imported."""

import importlib
import sys

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY

from ovrs.config import load_config
from ovrs.modeling import systems
from ovrs.modeling.late_compiler import UTILITIES, LateUtilities, _late_marks, _stand_in
from ovrs.modeling.registry import SYSTEMS, build_model


def test_every_system_is_found_by_its_name():
    known = {name: getattr(systems, name) for name in systems.__all__ if name != "SegmentationModel"}
    assert {name: f"ovrs.modeling.{module}" for name, module in SYSTEMS.items()} == {
        name: system.__module__ for name, system in known.items()
    }
    assert all(META_ARCH_REGISTRY.get(name) is system for name, system in known.items())


def test_another_s_system_is_built_and_an_unknown_one_is_named():
    cfg = load_config("mini", ["MODEL.DEVICE", "cpu"]).clone()
    cfg.defrost()
    cfg.MODEL.META_ARCHITECTURE = "Linear"
    with pytest.raises(KeyError, match="Linear"):
        build_model(cfg)
    META_ARCH_REGISTRY._do_register("Linear", lambda cfg: torch.nn.Linear(1, 2))
    try:
        assert build_model(cfg).out_features == 2
    finally:
        del META_ARCH_REGISTRY._obj_map["Linear"]


def test_the_compiler_is_there_as_soon_as_it_is_asked_for(monkeypatch):
    real = importlib.import_module(UTILITIES)
    monkeypatch.delitem(sys.modules, UTILITIES)
    with _stand_in():
        late = sys.modules[UTILITIES]
        with pytest.raises(AttributeError):
            late.__path__  # noqa: B018 - the question that "from ... import" asks
        assert isinstance(late, LateUtilities)
        monkeypatch.setattr(importlib, "import_module", lambda name: {UTILITIES: real}[name])
        assert late.is_compile_supported("cpu") is real.is_compile_supported("cpu")
        assert UTILITIES not in sys.modules and late.dynamo_timed is real.dynamo_timed


def test_what_is_marked_meanwhile_is_not_compiled_and_marks_as_before_afterwards():
    own = torch.compiler.disable
    with _late_marks():

        @torch.compiler.disable
        def plain(x):
            return type(x).__name__

        @torch.compiler.disable(recursive=False, reason="a test")
        def also(x):
            return x + 1

    assert torch.compiler.disable is own
    assert plain.__name__ == "plain" and plain(torch.zeros(1)) == "Tensor" and also(1) == 2
