"""A reader without a browser: fetches our pages over HTTP, fills forms, presses buttons."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from lxml import html

TIMEOUT_SECONDS = 30


class StoryEnds(Exception):
    """A step did not hold; the sentence says which."""


@dataclass(frozen=True)
class Page:
    """What came back from an address."""

    url: str
    status: int
    body: bytes

    @property
    def tree(self) -> Any:
        """The page as a tree of elements."""
        return html.fromstring(self.body, base_url=self.url)

    @property
    def text(self) -> str:
        """The words of its main part, blanks as one."""
        return " ".join(self.tree.xpath("string(//main)").split())

    def links(self, part: str) -> list[str]:
        """Absolute addresses on the page whose path begins with `part`."""
        found = [urljoin(self.url, href) for href in self.tree.xpath("//a/@href")]
        return [address for address in found if urlsplit(address).path.startswith(part)]


class Visitor:
    """One reader; keeps no cookie, because the shop sets none."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url

    def open(self, address: str) -> Page:
        """Fetch an address; redirects are followed."""
        return self._send(urllib.request.Request(urljoin(self._base, address)))  # noqa: S310

    def press(self, page: Page, label: str, **typed: str) -> Page:
        """Fill the form that has a button with these words and press it."""
        for form in page.tree.forms:
            for button in form.xpath(".//button"):
                if label in " ".join(button.text_content().split()):
                    return self._submit(page, form, button, typed)
        raise StoryEnds(f"no button “{label}” on {urlsplit(page.url).path.split('/')[1]}")

    def _submit(self, page: Page, form: Any, button: Any, typed: dict[str, str]) -> Page:
        values = dict(form.form_values())
        if button.get("name"):
            values[button.get("name")] = button.get("value", "")
        values.update(typed)
        target = urljoin(page.url, button.get("formaction") or form.action or page.url)
        parts = urlsplit(self._base)
        request = urllib.request.Request(  # noqa: S310
            target,
            data=urlencode(values).encode(),
            headers={"Origin": f"{parts.scheme}://{parts.netloc}"},
        )
        return self._send(request)

    @staticmethod
    def _send(request: urllib.request.Request) -> Page:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return Page(answer.url, answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Page(request.full_url, error.code, error.read())
        except (OSError, HTTPException) as error:
            raise StoryEnds(f"the shop does not answer any more ({error})") from None
