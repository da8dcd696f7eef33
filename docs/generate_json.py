"""Write docs/json.md from the JSON Schema: python docs/generate_json.py [OUT]. CI compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_HEAD = """\
<!-- Made by docs/generate_json.py from docs/ganctl.schema.json: do not edit. -->

# JSON output

With `--json`, a command prints one JSON document on one line of stdout; `train` prints one after
each epoch and a last one. Unknown numbers are `null`; NaN and infinity never appear. The keys below
will not change, but later versions may add others. A failure is an exit code and a line on stderr,
not JSON.

[ganctl.schema.json](ganctl.schema.json) describes the same documents as a JSON Schema, which the
tests check every command's output against. It refuses unknown keys. To validate a document with
Python's `jsonschema`:

```python
schema = json.loads(Path("ganctl.schema.json").read_text())
jsonschema.validate(document, schema)
```

To accept only the documents of one command, and to get more precise errors, use its definition,
whose name is given below each heading:

```python
jsonschema.validate(document, schema["$defs"]["sample"] | {"$defs": schema["$defs"]})
```
"""
_SHARED = "## Shared parts\n"
_PREFIX = "#/$defs/"


def main(out: Path) -> None:
    """Write one section per definition, with a table of its keys."""
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
            optional = "" if key in part["required"] else "; optional"
            lines.append(f"| `{key}` | {_type(value, known)} | {_meaning(value)}{optional} |")
        lines.append("")
    return "\n".join(lines)


def _type(value: dict[str, Any], known: dict[str, Any]) -> str:
    """Return the type in words, with a link if it is a definition of its own."""
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
    """Return the description, with the keys of an object that is defined in place."""
    text: str = value["description"].replace("|", "\\|")
    keys = value.get("properties", {})
    inside = ", ".join(f"`{key}` ({_meaning(keys[key])})" for key in keys)
    return f"{text}: {inside}" if inside else text


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("json.md"))
