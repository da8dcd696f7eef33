"""Check the accessibility of pages with axe-core.

    python tests/report/accessibility.py axe.min.js PAGE.html ...

Needs Chromium, Playwright, and axe-core's script: npm pack axe-core.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = {1280: 800, 360: 740}


def main(script: str, pages: list[str]) -> int:
    """Print the violations of each page, light and dark, wide and narrow; return their number."""
    found = 0
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for page in pages:
            for scheme in ("light", "dark"):
                for width, height in WIDTHS.items():
                    context = browser.new_context(
                        bypass_csp=True,  # else the page runs no script but its own
                        color_scheme=scheme,
                        viewport={"width": width, "height": height},
                    )
                    tab = context.new_page()
                    tab.goto(Path(page).absolute().as_uri())
                    tab.evaluate(Path(script).read_text("utf-8"))
                    result = tab.evaluate("axe.run()")
                    violations = result["violations"]
                    found += len(violations)
                    print(f"{page}, {scheme}, {width} wide: {len(result['passes'])} rules pass, "
                          f"{len(violations)} violated")  # fmt: skip
                    for rule in violations:
                        print(f"  {rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:100]}")
                    context.close()
        browser.close()
    return found


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1], sys.argv[2:])))
