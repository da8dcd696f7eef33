"""docs/json.md: each key that it promises is in what the command puts out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")


def promised(title: str) -> set[str]:
    """The keys in the first column of a section's table."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.M)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("`sample`", ["sample", "RUN", "-o", "OUT.png"]),
        ("`interpolate`", ["interpolate", "RUN", "-o", "OUT.gif", "--frames", "2"]),
        ("`inspect`", ["inspect", "RUN"]),
        ("`inspect --weights`", ["inspect", "RUN", "--weights"]),
        ("`inspect A B`", ["inspect", "RUN", "RUN"]),
        ("`inspect DIR`", ["inspect", "RUN/.."]),
        ("`data`", ["data", "mnist", "-o", "OUT.png"]),
        ("`config`", ["config"]),
    ],
)
def test_a_command_gives_what_is_promised(ok, run, tmp_path, title, words):
    places = {"RUN": str(run), "OUT": str(tmp_path / "out")}
    words = [re.sub("RUN|OUT", lambda match: places[match[0]], word) for word in words]
    document = json.loads(ok(*words, "--json").out)
    assert promised(title)
    assert promised(title) <= document.keys()


def test_packing_gives_what_is_promised(ok, photos, tmp_path):
    pattern = tmp_path / "shards" / "{0..}.tar"
    document = json.loads(ok("data", "pack", photos, "-o", pattern, "--json").out)
    keys = promised("`data pack`, `data index`")
    assert keys - {"name", "reason", "harmless"} == document.keys()


@pytest.mark.usefixtures("_no_plot")
def test_a_training_gives_what_is_promised(ok, fast_options, tmp_path):
    words = ("train", *fast_options, "--steps", "4", "--out", tmp_path / "run", "--json")
    epoch, end = map(json.loads, ok(*words).out.splitlines())
    plan = json.loads(ok(*words[:-2], tmp_path / "other", "--dry-run", "--json").out)
    for title, document in (
        ("`train`, each epoch", epoch), ("`train`, at the end", end), ("`train --dry-run`", plan),
    ):  # fmt: skip
        assert promised(title)
        assert promised(title) <= document.keys()
