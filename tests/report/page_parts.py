"""A page taken apart, for tests of the report's and the quality page."""

from __future__ import annotations

from html.parser import HTMLParser


class Parts(HTMLParser):
    """Collects tags, ids, anchors and everything else that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif tag == "a" and name == "href":
                self.anchors.append(value or "")
            elif name in ("src", "href", "xlink:href", "data", "srcset", "poster", "action", "background"):
                self.fetched.append(value or "")
