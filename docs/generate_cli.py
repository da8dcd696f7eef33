"""Write docs/cli.md from the Typer app: python docs/generate_cli.py [OUT]. CI compares."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from pathlib import Path

_HEAD = "<!-- Made by docs/generate_cli.py from the program's own help: do not edit. -->\n\n"


def main(out: Path) -> None:
    """Typer's own generator, its HTML escapes undone."""
    result = subprocess.run(
        [sys.executable, "-m", "typer", "ganctl.cli.app", "utils", "docs", "--name", "ganctl"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"},
    )
    out.write_text(_HEAD + html.unescape(result.stdout).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("cli.md"))
