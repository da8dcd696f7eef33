"""Web pages that hold everything in one file and make no network requests."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any


def read(path: Path) -> str:
    """Return the text of a style or a script that goes into a page."""
    return "\n" + path.read_text("utf-8").strip() + "\n"


def render(
    template: Path,
    style: str,
    scripts: dict[str, str],
    *,
    images: str = "data:",
    has_wasm: bool = False,
    **values: Any,
) -> bytes:
    """Return the page, in UTF-8, that a Jinja2 template makes of `values`.

    The template also gets `style`, each of `scripts` by its name, and `policy`: a content security
    policy that allows these, images from the sources `images`, WebAssembly with `has_wasm`, and no
    requests. Style and scripts must be files of this package: they are not escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    code = [*map(_hashed, scripts.values()), *(["'wasm-unsafe-eval'"] if has_wasm else [])]
    policy = (
        f"default-src 'none'; img-src {images}; style-src {_hashed(style)}; "
        f"script-src {' '.join(code)}; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(template.name).render(
        policy=policy, style=Markup(style), **values,
        **{name: Markup(script) for name, script in scripts.items()},
    )  # fmt: skip
    return page.encode(errors="replace")  # names that are not UTF-8 come as lone surrogates


def _hashed(text: str) -> str:
    """Return the source expression that allows `text` (Content Security Policy, level 3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
