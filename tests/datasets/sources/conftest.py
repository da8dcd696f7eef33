"""Images to put into sources, and helpers that list what a source found."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FIXTURES = Path(__file__).parents[2] / "fixtures" / "images"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of images that other programs made."""
    return FIXTURES


@pytest.fixture(scope="session")
def png() -> bytes:
    """The content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def listed():
    """Return {name: label} of a source."""
    return lambda source: {entry.name: entry.label for entry in source.entries}


@pytest.fixture(scope="session")
def harm():
    """Return {name: reason} of a source's problems that are not harmless."""
    return lambda source: {
        problem.name: problem.reason for problem in source.problems if not problem.harmless
    }


@pytest.fixture(scope="session")
def harmless():
    """Return {name: reason} of a source's harmless problems."""
    return lambda source: {
        problem.name: problem.reason for problem in source.problems if problem.harmless
    }


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A separate folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
