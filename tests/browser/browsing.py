"""A headless Chromium for tests of pages; they are skipped where there is none."""

from __future__ import annotations

import contextlib
import shutil

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
              "--disable-component-update", "--disable-dev-shm-usage"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """A browser for the tests of a module."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium here")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def browse(browser):
    """Open an HTML file; at the end, check that no page had errors or requested anything."""
    troubles, requests, opened = [], [], set()
    with contextlib.ExitStack() as stack:

        def go(file, **options):
            context = stack.enter_context(browser.new_context(reduced_motion="reduce", **options))
            context.on("request", lambda request: requests.append(request.url))
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.on("console", lambda message: troubles.append(message.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            opened.add(file.as_uri())
            page.goto(file.as_uri())
            return page

        yield go
    assert troubles == []
    assert {url for url in requests if not url.startswith(("blob:", "data:"))} == opened
