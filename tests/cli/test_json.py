"""Every command's --json is what docs/ganctl.schema.json and docs/json.md say."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from ganctl.cli.app import app
from ganctl.config.schema import SETTINGS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sample", ["sample", "RUN", "-o", "OUT.png"]),
        ("sample", ["sample", "RUN", "-o", "OUT.npz", "--per-class", "1", "--truncation", "0.5"]),
        ("sample", ["sample", "RUN", "-o", "OUT/", "-n", "1", "--class", "3", "--no-ema"]),
        ("interpolate", ["interpolate", "RUN", "-o", "OUT.gif", "--frames", "1"]),
        ("interpolate", ["interpolate", "RUN", "-o", "OUT.png", "--corners", "0,1,2,3",
                         "--class", "3", "--ease", "smooth", "--frames", "1"]),
        ("inspect", ["inspect", "RUN"]),
        ("inspect", ["inspect", "RUN", "--weights"]),
        ("inspect-two", ["inspect", "RUN", "DCGAN"]),
        ("runs", ["runs", "RUN/.."]),
        ("data", ["data", "PHOTOS", "-o", "OUT.png", "--skip-bad"]),
        ("data", ["data", "PHOTOS", "-o", "OUT.png", "--skip-bad", "--augment", "auto"]),
        ("data-clear-cache", ["data", "--clear-cache"]),
        ("data-pack", ["data", "pack", "PHOTOS", "-o", "OUT/{0..}.tar", "--skip-bad"]),
        ("config", ["config"]),
    ],
)  # fmt: skip
def test_a_document_is_what_is_documented(
    ok, run, dcgan_run, photos, documented, tmp_path, name, words
):
    (photos / "broken.png").touch()
    (photos / "notes.txt").touch()
    places = {"RUN": run, "DCGAN": dcgan_run, "PHOTOS": photos, "OUT": tmp_path / "out"}
    found = [re.sub("|".join(places), lambda match: str(places[match[0]]), word) for word in words]
    document = json.loads(ok(*found, "--json").out)
    documented(name, document)


@pytest.mark.usefixtures("_no_plot")
def test_the_json_of_train_is_as_documented(ok, fast_options, documented, tmp_path):
    words = ("train", *fast_options, "--json", "--steps", "5", "--out")
    lines = [json.loads(line) for line in ok(*words, tmp_path / "run").out.splitlines()]
    for line in lines[:-1]:
        documented("train-epoch", line)
    documented("train-end", lines[-1])
    documented("inspect", json.loads(ok("inspect", tmp_path / "run", "--json").out))
    plan = json.loads(ok(*words, tmp_path / "other", "--dry-run").out)
    documented("train-dry-run", plan)
    assert plan["config"].keys() >= SETTINGS.keys() - {"images"}


def test_another_document_would_be_refused(ok, documented):
    """The schema is strict enough for the tests above to prove something."""
    document = json.loads(ok("config", "--json").out)
    for spoil in (
        lambda it: it.pop("preset"),
        lambda it: it.update(more=1),
        lambda it: it["settings"]["seed"].pop("source"),
        lambda it: it["settings"]["seed"].update(value=[]),
    ):
        spoiled = copy.deepcopy(document)
        spoil(spoiled)
        with pytest.raises(jsonschema.ValidationError):
            documented("config", spoiled)


@pytest.mark.parametrize(
    "document",
    [
        {}, [], None, "sample", {"preset": "fast"}, {"preset": "fast", "settings": {}, "more": 1},
        {"preset": "fast", "settings": {"seed": {"value": [], "source": "option"}}},
        {"removed_bytes": "1", "in_use": 0}, {"removed_bytes": 1}, {"event": "end"},
    ],
)  # fmt: skip
def test_the_schema_itself_refuses_what_is_no_document(document):
    schema = json.loads((DOCS / "ganctl.schema.json").read_text("utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_the_schema_is_one_and_knows_every_command():
    schema = json.loads((DOCS / "ganctl.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert [
        part for part in _objects(schema) if part.get("additionalProperties") is not False
    ] == []
    named = {*schema["$defs"], *(name.partition("-")[0] for name in schema["$defs"])}
    assert named >= {command.name.replace(" ", "-") for command in app.registered_commands}


def _objects(node):
    """Yield each part of a schema that names the keys of an object."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _objects(each)


def test_the_page_is_made_from_the_schema(tmp_path):
    script = [sys.executable, DOCS / "generate_json.py", tmp_path / "json.md"]
    subprocess.run(script, check=True)
    page = (DOCS / "json.md").read_text("utf-8")
    assert page == (tmp_path / "json.md").read_text("utf-8"), "python docs/generate_json.py"
