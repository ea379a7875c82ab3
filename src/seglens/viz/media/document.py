"""A page for the browser that needs nothing but itself, and lets nothing else in."""

from base64 import b64encode
from hashlib import sha256
from html import escape

from seglens.viz.media.style import PAGE_STYLE, STYLE


def document(body: str, title: str, style: str = "", script: str = "") -> str:
    """An HTML document. body: HTML. title: plain words. style: what it needs beyond the style of all pages.

    Style and script are inline, and the Content-Security-Policy admits them and pictures inside the page alone.
    """
    style = STYLE + PAGE_STYLE + style
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
