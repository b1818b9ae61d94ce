"""The script in a real browser: what it adds to pages that work without it."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

SCRIPT = (Path(__file__).parent.parent.parent / "static" / "colophon.js").read_text()

FORM = """<form method="post" action="/upload" enctype="multipart/form-data"><input name="notes">
<input type="file" id="file" name="file"><button name="go" value="1">Upload</button></form>"""
ERROR = '<div data-focus tabindex="-1"><a href="#file">The file must be a PDF or EPUB</a></div>'


def page_of(main: str, title: str = "Desk") -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><title>{title}</title>'
        f'<script src="/colophon.js" defer></script><main>{main}</main></html>'
    )


class Desk(BaseHTTPRequestHandler):
    """A desk of three pages; its answers to POST and GET are set by each test."""

    script = SCRIPT
    pages: ClassVar[dict[str, str]]
    answer: tuple[int, str]
    posts: ClassVar[list[bytes]]
    gate: threading.Event
    presses: ClassVar[list[str]]
    pressed: threading.Event

    def do_GET(self) -> None:
        if self.path == "/pressed":
            self.presses.append(self.path)
            if len(self.presses) == 8:
                self.pressed.set()
        body = self.script if self.path == "/colophon.js" else self.pages.get(self.path, "")
        kind = "text/javascript" if self.path == "/colophon.js" else "text/html; charset=utf-8"
        self.reply(200, body, kind)

    def do_POST(self) -> None:
        self.posts.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.gate.wait(60)
        status, body = self.answer
        if status == 303:
            self.send_response(303)
            self.send_header("Location", body)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.reply(status, body)

    def reply(self, status: int, body: str, kind: str = "text/html; charset=utf-8") -> None:
        octets = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def desk() -> Iterator[type[Desk]]:
    class Ours(Desk):
        pages: ClassVar = {"/": page_of(FORM), "/done": page_of("<h1>Uploaded</h1>", "Uploaded")}
        answer = (303, "/done")
        posts: ClassVar[list[bytes]] = []
        gate = threading.Event()
        presses: ClassVar[list[str]] = []
        pressed = threading.Event()

    Ours.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ours)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    Ours.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield Ours
    Ours.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser, desk: type[Desk]) -> Iterator[Page]:
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    faults: list[str] = []
    opened.on("pageerror", lambda fault: faults.append(str(fault)))
    yield opened
    context.close()
    assert faults == []


def choose(page: Page, size: int = 300_000) -> None:
    page.set_input_files(
        "#file", {"name": "guide.pdf", "mimeType": "application/pdf", "buffer": b"x" * size}
    )


def start(page: Page, desk: type[Desk]) -> None:
    page.goto(desk.url + "/")  # type: ignore[attr-defined]


def test_an_upload_says_how_it_goes_and_leads_to_its_page(page: Page, desk: type[Desk]) -> None:
    desk.gate.clear()
    start(page, desk)
    choose(page)
    page.click("button[name=go]")
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.startsWith('All of it')"
    )
    assert page.locator("progress").count() == 1
    assert page.locator("button[name=go]").get_attribute("aria-disabled") == "true"
    desk.gate.set()
    page.wait_for_selector("text=Uploaded")
    assert page.url.endswith("/done")
    assert page.title() == "Uploaded"
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert b'name="go"' in desk.posts[0]
    page.go_back()
    page.wait_for_selector("#file")
    assert page.url.endswith("/")
    assert page.locator("h1").count() == 0


@pytest.mark.long
def test_a_slow_upload_shows_bytes_and_seconds_left(page: Page, desk: type[Desk]) -> None:
    start(page, desk)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 700_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    choose(page, 3_000_000)
    page.click("button[name=go]")
    figures = page.locator(".upload .small", has_text="left")
    figures.wait_for()
    words = r"\d\.\d MB of 3\.0 MB, about \d+ seconds? left"
    assert re.fullmatch(words, figures.text_content() or "")
    page.wait_for_selector("text=Uploaded", timeout=60_000)


def test_a_refused_upload_keeps_the_chosen_file_and_leads_to_the_errors(
    page: Page, desk: type[Desk]
) -> None:
    desk.answer = (
        422,
        page_of(ERROR + FORM.replace('id="file"', 'id="file" aria-invalid="true"'), "Error: Desk"),
    )
    start(page, desk)
    choose(page)
    page.click("button[name=go]")
    page.wait_for_selector("[data-focus]")
    assert page.title() == "Error: Desk"
    assert page.evaluate("document.activeElement.hasAttribute('data-focus')")
    assert page.evaluate("document.getElementById('file').files[0].name") == "guide.pdf"
    assert page.locator("#file").get_attribute("aria-invalid") == "true"
    desk.answer = (303, "/done")
    desk.gate.clear()
    page.click("button[name=go]")
    page.wait_for_selector(".upload")
    assert page.locator("[data-focus], [aria-invalid]").count() == 0
    assert page.title() == "Desk"
    desk.gate.set()
    page.wait_for_selector("text=Uploaded")
    assert len(desk.posts) == 2
    assert b"guide.pdf" in desk.posts[1]


def test_an_upload_can_be_cancelled_and_tried_again(page: Page, desk: type[Desk]) -> None:
    desk.gate.clear()
    start(page, desk)
    choose(page)
    page.click("button[name=go]")
    page.click("text=Cancel the upload")
    said = page.locator("[role=status]")
    assert said.text_content() == "Cancelled. Nothing was kept. Your file is still chosen."
    assert page.locator("progress").count() == 0
    desk.gate.set()
    page.click("button[name=go]")
    page.wait_for_selector("text=Uploaded")


@pytest.mark.parametrize("status", [413, 500])
def test_a_refusal_without_a_form_is_told_where_the_person_is(
    page: Page, desk: type[Desk], status: int
) -> None:
    desk.answer = (status, page_of("<h1>Too large</h1><p>At most 50 MB.</p>"))
    start(page, desk)
    choose(page)
    page.fill("[name=notes]", "kept")
    page.click("button[name=go]")
    page.wait_for_selector(".error")
    assert page.locator("[role=status]").text_content() == "Too large. At most 50 MB."
    assert page.input_value("[name=notes]") == "kept"
    assert page.locator("button[name=go]").get_attribute("aria-disabled") is None


def test_a_broken_connection_is_told_and_the_file_stays_chosen(
    page: Page, desk: type[Desk]
) -> None:
    def cut(route: Route) -> None:
        route.abort()

    start(page, desk)
    page.route("**/upload", cut)
    choose(page)
    page.click("button[name=go]")
    page.wait_for_selector(".error")
    assert "the connection broke off" in (page.locator("[role=status]").text_content() or "")
    assert page.evaluate("document.getElementById('file').files.length") == 1


def press_often(page: Page, desk: type[Desk]) -> list[bytes]:
    """What reaches the desk while its first answer lets the person wait and press on."""
    desk.pages["/"] = page_of(
        '<form method="post" action="/x"><button name="a" value="1">Order</button></form>'
    )
    desk.gate.clear()
    start(page, desk)
    page.evaluate(
        "() => { setInterval(() => { document.querySelector('button').click();"
        " fetch('/pressed') }, 30) }"
    )
    assert desk.pressed.wait(60)
    desk.gate.set()
    page.wait_for_selector("text=Uploaded")
    return desk.posts


def test_a_form_pressed_often_is_sent_once(page: Page, desk: type[Desk]) -> None:
    assert press_often(page, desk) == [b"a=1"]


def test_without_the_guard_every_press_would_be_sent(page: Page, desk: type[Desk]) -> None:
    assert SCRIPT.count("if (form.dataset.sent)") == 1
    desk.script = SCRIPT.replace("if (form.dataset.sent)", "if (false)")
    assert len(press_often(page, desk)) > 1


def test_the_error_summary_has_the_focus(page: Page, desk: type[Desk]) -> None:
    desk.pages["/"] = page_of(ERROR + FORM)
    start(page, desk)
    assert page.evaluate("document.activeElement.hasAttribute('data-focus')")


def test_a_living_part_is_fetched_until_the_work_is_done(page: Page, desk: type[Desk]) -> None:
    part = '<div id="way" {}><button id="pause">Pause</button> <b>{}</b></div><input id="typed">'
    desk.pages["/"] = page_of(part.format('data-poll="3"', "1 sent"))
    page.clock.install()
    start(page, desk)
    page.fill("#typed", "kept")
    page.focus("#pause")
    desk.pages["/"] = page_of(part.format('data-poll="3"', "2 sent"))
    page.clock.run_for(3000)
    page.wait_for_selector("text=2 sent")
    assert page.evaluate("document.activeElement.id") == "pause"
    desk.pages["/"] = page_of(part.format("", "3 sent, done"))
    page.clock.run_for(3000)
    page.wait_for_selector("text=3 sent, done")
    desk.pages["/"] = page_of(part.format("", "never fetched"))
    page.clock.run_for(60_000)
    page.wait_for_load_state("networkidle")
    assert page.locator("b").text_content() == "3 sent, done"
    assert page.input_value("#typed") == "kept"
