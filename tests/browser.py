"""A real browser for the pages that the package writes."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_SYSTEM = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium: the system's, or Playwright's own; skips where there is neither."""
    api = pytest.importorskip("playwright.sync_api")
    path = next((p for p in map(shutil.which, _SYSTEM) if p), None)
    with api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium to be had: {str(error).splitlines()[0]}")
        yield started
        started.close()
