"""The notebook: it runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "demo" / "tour.ipynb"


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_is_valid_and_committed_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert code_cells(notebook)
    for cell in code_cells(notebook):
        assert not cell.outputs and cell.execution_count is None, f"clear the outputs of: {cell.source[:60]}"


def test_names_no_path_of_anybodys_machine(notebook: Any) -> None:
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not [word for word in ("/home/", "/Users/", "/tmp/", "C:\\") if word in text]


def test_links_lead_somewhere(notebook: Any) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", "\n".join(cell.source for cell in notebook.cells))
    assert targets
    assert not [target for target in targets if not (NOTEBOOK.parent / target).exists()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_from_top_to_bottom(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("nbclient", "ipykernel", "geopandas", "pyogrio"):
        pytest.importorskip(package)
    from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    # A kernel that is installed for the user may be of another environment; without folders to look in there is only our own.
    manager = AsyncKernelManager(kernel_name=NATIVE_KERNEL_NAME, kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    assert manager.kernel_spec.argv[0] == sys.executable
    client = NotebookClient(notebook, km=manager, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises CellExecutionError where a cell does

    shown = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 5
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in shown)
