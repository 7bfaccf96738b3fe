"""A real browser on a real server: every page is watched for errors of the console and of the security policy."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright
from psycopg_pool import ConnectionPool

from api.identity import SESSION_COOKIE
from api.languages import COOKIE_NAME
from api.pages import rendering
from api.server import Server
from tests.console_builders import Console, a_console
from ticketing.actors import Actor

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# axe judges every page once in each language and once at each width; whether it fits is asked at both widths each time.
EACH_LANGUAGE_AND_WIDTH = pytest.mark.parametrize(
    ("language", "size"), [("en", PHONE), ("zh", DESK)], ids=["phone-en", "desk-zh"]
)
START_S, STOP_S = 30.0, 30.0
GRACE_S = 5
# Two cores may be shared with much else; a page that is right is right within this time.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
    yield browser
    browser.close()


@dataclass
class Visitor:
    """One person's browser. ``troubles`` gathers what went wrong in the pages without being asked."""

    context: BrowserContext
    page: Page
    address: str
    troubles: list[str] = field(default_factory=list)

    def visit(self, path: str) -> Page:
        """Open a page of the console."""
        self.page.goto(self.address + path)
        return self.page

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{self.page.url}: {message.type}: {message.text}")


@dataclass
class Site:
    """The console behind a real server, and browsers to visit it with."""

    console: Console
    chromium: Browser
    address: str

    @contextmanager
    def visitor(
        self, actor: Actor | None, language: str = "en", size: dict[str, int] = DESK, **more: str
    ) -> Iterator[Visitor]:
        """Yield the browser of ``actor``; at the end no page may have complained."""
        context = self.chromium.new_context(viewport=size, locale={"en": "en-GB", "zh": "zh-CN"}[language], **more)
        cookies = {COOKIE_NAME: language}
        if actor is not None:
            cookies[SESSION_COOKIE] = self.console.session_of(actor)
        context.add_cookies([{"name": name, "value": value, "url": self.address} for name, value in cookies.items()])
        context.set_default_timeout(20_000)
        visitor = Visitor(context, context.new_page(), self.address)
        visitor.page.on("console", visitor.note)
        visitor.page.on("pageerror", lambda error: visitor.troubles.append(f"{visitor.page.url}: {error}"))
        try:
            yield visitor
        finally:
            context.close()
        assert visitor.troubles == []


@pytest.fixture
def site(pool: ConnectionPool, chromium: Browser) -> Iterator[Site]:
    """The application of a furnished house, served on a free port of the loopback."""
    assert rendering.MANIFEST.is_file(), "build the console first: pip install -e . --no-deps"
    console = a_console(pool)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(console.app, log_level="warning", timeout_graceful_shutdown=GRACE_S)
        server = Server(console.app, config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until_started(server)
        yield Site(console, chromium, f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.should_exit = True
        thread.join(STOP_S)
        assert not thread.is_alive()


def wait_until_started(server: uvicorn.Server) -> None:
    for _ in range(int(START_S / 0.05)):
        if server.started:
            return
        time.sleep(0.05)
    raise TimeoutError(f"the server did not start within {START_S} s")
