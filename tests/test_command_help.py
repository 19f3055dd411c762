"""Every command says at once how it is used: no help waits for PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [ROOT / "train_net.py", *(path for folder in ("demo", "tools", "datasets") for path in (ROOT / folder).glob("*.py"))]
MODULES = ["ovrs.climate", "ovrs.data.scenes", "ovrs.weights"]
COMMANDS = [*sorted(str(path.relative_to(ROOT)) for path in SCRIPTS), *MODULES]

# All in one process, in which whatever imports one of these fails.
HELP = """
import contextlib, io, json, runpy, sys, traceback
for name in ("torch", "torchvision", "detectron2", "timm", "open_clip", "transformers", "gradio", "pandas", "matplotlib"):
    sys.modules[name] = None
answers = {}
for command in sys.argv[1:]:
    run = runpy.run_path if command.endswith(".py") else runpy.run_module
    sys.argv = [command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            run(command, run_name="__main__")
            ended = "it went on"
        except SystemExit as stop:
            ended = stop.code
        except BaseException:
            ended = traceback.format_exc()
    answers[command] = [ended, said.getvalue()]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers():
    done = subprocess.run([sys.executable, "-c", HELP, *COMMANDS], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_torch(command, answers):
    ended, said = answers[command]
    assert ended in (0, None), ended
    assert said.startswith("usage: ") and "--help" in said
