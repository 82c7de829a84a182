"""A real browser for tests, and what is held against every page that it shows."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.hub import Hub

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PASSWORD = "a password for tests"
DESKTOP = {"width": 1440, "height": 1000}
PHONE = {"width": 390, "height": 844}

AXE_PACKAGE = "axe-core@4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine. Skips where there is none."""
    found = next((path for path in CHROMIUM if Path(path).exists()), None)
    if found is None:
        pytest.skip(f"There is no browser at {', '.join(CHROMIUM)}: install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page and what went wrong on it."""

    def __init__(self, page: Page, hub: Hub) -> None:
        self.page = page
        self.hub = hub
        self.complaints: list[str] = []
        page.set_default_timeout(15_000)
        page.on("console", lambda said: self._console(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error on the page: {error}"))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"console {kind}: {text}")

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" != self.hub.base_url:
            self.complaints.append(f"request to the outside: {url}")

    def sign_in(self, path: str = "/dashboard") -> Page:
        """Go to a page through the sign-in page."""
        self.page.goto(self.hub.base_url + path)
        self.page.get_by_label("Username").fill("admin")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(self.hub.base_url + path)
        return self.page


@contextmanager
def watched(browser: Browser, hub: Hub, **context: Any) -> Iterator[Watched]:
    """A page in a profile of its own. Complaints fail the test at the end of the block."""
    with browser.new_context(**{"viewport": DESKTOP, "locale": "en-US", **context}) as profile:
        seen = Watched(profile.new_page(), hub)
        yield seen
        assert seen.complaints == []


def axe_source(folder: Path) -> str:
    """The accessibility checker's script, out of its npm package. Skips where npm or the registry is away."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not on this machine: it brings axe-core.")
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        command = ["npm", "pack", "--silent", "--pack-destination", str(folder), AXE_PACKAGE]
        try:
            packed = subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm could not bring axe-core within a minute.")
    if packed.returncode != 0:
        pytest.skip(f"npm could not bring axe-core: {packed.stderr.strip()[-200:]}")
    content = (folder / packed.stdout.strip().splitlines()[-1]).read_bytes()
    assert base64.b64encode(hashlib.sha512(content).digest()).decode() == AXE_SHA512
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def violations(page: Page, axe: str) -> list[str]:
    """What the accessibility checker has against the page, in words."""
    page.evaluate(axe)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
