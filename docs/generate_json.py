"""Write docs/json.md from the schema beside it: python docs/generate_json.py [OUT]. CI compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_HEAD = """\
<!-- Made by docs/generate_json.py from docs/ganctl.schema.json: do not edit. -->

# JSON for scripts

With `--json` a command prints one JSON document on one line of stdout, and nothing else; `train`
prints one for each epoch and a last one. Numbers that are not known are `null`; NaN and infinity
never appear. The keys below stay what they are; later versions may add others. A failure is
an exit code and a line on stderr, not JSON.

[ganctl.schema.json](ganctl.schema.json) says the same as a JSON Schema, which the tests hold every
command's output against. It accepts each of the documents below, and nothing else: a key that it
does not name is refused. To check a document with Python's `jsonschema`:

```python
schema = json.loads(Path("ganctl.schema.json").read_text())
jsonschema.validate(document, schema)
```

To accept the documents of one command only, and to be told what is wrong with one, name its
definition, which is given below each heading:

```python
jsonschema.validate(document, schema["$defs"]["sample"] | {"$defs": schema["$defs"]})
```
"""
_SHARED = "## What they are made of\n"
_PREFIX = "#/$defs/"


def main(out: Path) -> None:
    """A section a definition, with a table of its keys."""
    schema = json.loads(Path(__file__).with_name("ganctl.schema.json").read_text("utf-8"))
    known = schema["$defs"]
    names = [each["$ref"].removeprefix(_PREFIX) for each in schema["oneOf"]]
    documents = [_section("##", name, known) for name in names]
    shared = [_section("###", name, known) for name in known if name not in names]
    out.write_text("\n".join([_HEAD, *documents, _SHARED, *shared]), "utf-8")


def _section(level: str, name: str, known: dict[str, Any]) -> str:
    part = known[name]
    lines = [f"{level} `{part['title']}`", "", f"{part['description']} Definition: `{name}`.", ""]
    if "properties" in part:
        lines += ["| key | type | meaning |", "| --- | --- | --- |"]
        for key, value in part["properties"].items():
            optional = "" if key in part["required"] else "; not always there"
            lines.append(f"| `{key}` | {_type(value, known)} | {_meaning(value)}{optional} |")
        lines.append("")
    return "\n".join(lines)


def _type(value: dict[str, Any], known: dict[str, Any]) -> str:
    """In words; what is a definition of its own is linked."""
    if "$ref" in value:
        title = known[value["$ref"].removeprefix(_PREFIX)]["title"]
        return f"[{title}](#{title.replace(' ', '-')})"
    if "anyOf" in value:
        return " or ".join(_type(choice, known) for choice in value["anyOf"])
    if "enum" in value or "const" in value:
        choices = value.get("enum", [value.get("const")])
        return " or ".join(f"`{json.dumps(choice)}`" for choice in choices)
    kinds = value.get("type", "anything")
    kind = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if "items" in value:
        return kind.replace("array", f"array of {_type(value['items'], known)}")
    if isinstance(value.get("additionalProperties"), dict):
        return f"object of {_type(value['additionalProperties'], known)}"
    return kind


def _meaning(value: dict[str, Any]) -> str:
    """The description; of an object that is described in place, its keys as well."""
    text: str = value["description"].replace("|", "\\|")
    keys = value.get("properties", {})
    inside = ", ".join(f"`{key}` ({_meaning(keys[key])})" for key in keys)
    return f"{text}: {inside}" if inside else text


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("json.md"))
