"""The examples in docstrings, in docs/python.md and in docs/ganctl.ipynb do what they say."""

from __future__ import annotations

import ast
import doctest
import html
import importlib
import json
import sys
import tomllib
import types
from pathlib import Path

import pytest
import torch

from ganctl import checkpoint
from ganctl.config import schema
from ganctl.training.state import create

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "ganctl").rglob("*.py")
    if ">>>" in path.read_text("utf-8")
)


@pytest.fixture
def _a_run(tiny_checkpoint, tiny_config, tmp_path, monkeypatch):
    """A checkpoint of ten classes as runs/mnist-fast, in an empty folder."""
    config = schema.override(tiny_config(), {"num_classes": 10})
    state = create(config, torch.device("cpu"))
    names = [str(digit) for digit in range(10)]
    made = checkpoint.Checkpoint(
        config=state.config, step=4, history=[], partial=tiny_checkpoint.partial,
        data={**tiny_checkpoint.data, "classes": names}, made_by=tiny_checkpoint.made_by,
        **state.weights(), **state.moments(),
    )  # fmt: skip
    (tmp_path / "runs" / "mnist-fast").mkdir(parents=True)
    (tmp_path / "runs" / "mnist-fast" / "ckpt.pt").write_bytes(checkpoint.encode(made))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_a_run", "tiny_mnist")
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.usefixtures("_a_run")
def test_the_page():
    result = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert (result.failed, result.attempted > 5) == (0, True)


@pytest.mark.usefixtures("tiny_mnist")
def test_the_notebook(tmp_path, monkeypatch):
    """The cells of the notebook run in order, and then once more; here it trains for one step.

    The cell that installs ganctl is left out.
    """
    monkeypatch.chdir(tmp_path)
    display = types.SimpleNamespace(HTML=lambda text: text)
    ipython = types.SimpleNamespace(  # the rest is for matplotlib
        display=display, version_info=(9, 0), get_ipython=lambda: None
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    book = json.loads((ROOT / "docs" / "ganctl.ipynb").read_text("utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    (install,) = (cell for cell in code if "install" in cell["metadata"].get("tags", ()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "".join(install["source"]) == f"%pip install -q git+{project['urls']['Source']}"
    cells = ["".join(cell["source"]) for cell in code if cell is not install]
    assert "epochs=4" in cells[0]
    cells[0] = cells[0].replace("epochs=4", "steps=1, threads=1, base_channels=4, device='cpu'")
    names: dict[str, object] = {}
    for cell in cells * 2:
        *_, last = ast.parse(cell).body
        assert isinstance(last, ast.Expr), "every cell shows something"
        exec(cell, names)
    assert names["model"].step == len(names["losses"]) == 1
    shown = eval(compile(ast.Expression(last.value), "", "eval"), names)
    assert html.unescape(shown).startswith('<div><iframe srcdoc="<!DOCTYPE html>')
    assert html.unescape(shown).count("</html>") == 1
    assert not any(cell["outputs"] for cell in code), "outputs make differences that nobody reads"
