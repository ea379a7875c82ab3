"""Reading what was drawn and written: texts of figures and whether they overlap, elements of pages."""

import re
from html.parser import HTMLParser

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

LOADING = {"src", "href", "srcset", "data", "poster", "action", "xlink:href", "background"}
EMPTY = {"meta", "link", "input", "img", "br", "hr"}


def drawn(fig):
    """The renderer that drew a figure."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return canvas.get_renderer()


def texts(fig):
    """All texts of a figure that are not empty."""
    return [artist for artist in fig.findobj(Text) if artist.get_text()]


def said(fig):
    return [artist.get_text() for artist in texts(fig)]


def overlaps(fig):
    """Pairs of texts that touch, and texts that leave the page."""
    renderer = drawn(fig)
    page = fig.bbox
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(fig)]
    out = [t for t, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > page.x1 + 1 or b.y1 > page.y1 + 1]
    for i, (text, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            x, y = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            if x > 0 and y > 1:
                out.append(f"{text} | {other}")
    return out


class Reader(HTMLParser):
    """Elements with their attributes, text, and whether all that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def loads(html):
    """What a page would fetch, or run or style against its own policy; nothing, as it should be."""
    read = Reader(html)
    ids = {attrs["id"] for _, attrs in read.tags if "id" in attrs}
    found = []
    for tag, attrs in read.tags:
        outside = [v for n in LOADING & attrs.keys() if not (v := attrs[n]).startswith("data:") and v[1:] not in ids]
        found += [(tag, value[:80]) for value in outside]
        found += [(tag, name) for name in attrs if name == "style" or name.startswith("on")]
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    return found + [word for word in ("@import", "url(") if word in style]
