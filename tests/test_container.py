"""The Dockerfile fits the package; a linter checks the rest of it in .ci/run."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_image_has_the_torch_that_the_package_asks_for() -> None:
    wanted = [name for name in PROJECT["dependencies"] if name.startswith("torch") and "metrics"
              not in name]  # fmt: skip
    assert re.findall(r'"(torch.+?)"', DOCKERFILE) == wanted


def test_the_image_has_extras_that_exist() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    assert {*extras.split(",")} <= {*PROJECT["optional-dependencies"]}


def test_what_is_copied_into_the_image_is_not_ignored() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").split()
    for words in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in words.split():
            assert f"!{name}" in rules
            assert (ROOT / name).exists()
