"""report: results together in one page that holds all of itself."""

import base64
import html
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Work
from seglens.core.errors import SeglensError
from seglens.core.progress import tell
from seglens.core.saving import write_text

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f27;--paper:#fff;--line:#d5d9e0;--dim:#5a6270}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaee;--paper:#15181e;--line:#343a45;--dim:#9aa3b2}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:70rem;margin:2rem auto;
padding:0 1rem}
figure{margin:0 0 2.5rem;border-top:1px solid var(--line);padding-top:1rem}
img{max-width:100%;height:auto;background:#fff}
figcaption{font-size:1.05rem;margin:.5rem 0;white-space:pre-wrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;color:var(--dim);margin:.5rem 0}
dt,dd{margin:0;overflow-wrap:anywhere}
pre{border:1px solid var(--line);padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}
"""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Of the page itself: whatever a caption holds, nothing runs and nothing is fetched."""


def report(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """Each result as its figure, with caption, settings and the Python that gives the same; captions are text only."""
    from seglens.app.tasks.again import made_again

    parts: list[str] = []
    items = payload["items"]
    for i, item in enumerate(items):
        tell("figures", i, len(items))
        folder, head = work.store.at(item["key"]), work.store.head(item["key"])
        if folder is None or head is None:
            raise SeglensError(f"the result {item['key'][:12]}… is not kept any more.\n  Ask again, then report.")
        result = head["result"]
        picture = ""
        if "png" in result["formats"]:
            picture = _picture(made_again(work, item["key"], folder), _told(result))
        parts.append(_figure(picture, item["caption"], result))
    title = html.escape(payload["title"])
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>\n{''.join(parts)}</body></html>\n"
    )
    return Outcome(meta={"title": payload["title"]}, formats=("html",), save=lambda path: write_text(page, path))


def _picture(outcome: Outcome, words: str) -> str:
    if outcome.save is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        outcome.save(path)
        data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'


def _told(result: Mapping[str, Any]) -> str:
    meta = result["meta"]
    return " ".join(str(x) for x in (result["task"], meta.get("method"), meta.get("target")) if x)


def _figure(picture: str, caption: str, result: Mapping[str, Any]) -> str:
    meta = result["meta"]
    facts: dict[str, Any] = {
        k: meta[k] for k in ("method", "target", "layer", "score", "of", "unit", "fill") if meta.get(k) is not None
    }
    if "quantity" in meta:
        facts[meta["quantity"]] = f"{_said(meta['before']['probability'])}, then {_said(meta['after']['probability'])}"
    facts |= {k: v for k in ("parameters", "numbers", "overall") if (v := meta.get(k))}
    facts |= dict(meta.get("provenance") or {})
    listed = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(_said(v))}</dd>" for k, v in facts.items())
    notes = "".join(f"<p>{html.escape(str(n))}</p>" for n in meta.get("notes") or [])
    said = html.escape(caption or _told(result))
    code = f"<pre>{html.escape(result['python'])}</pre>" if result["python"] else ""
    return f"<figure>{picture}<figcaption>{said}</figcaption>{notes}<dl>{listed}</dl>{code}</figure>\n"


def _said(value: Any) -> str:
    """A fact as a person reads it: numbers to four digits, no brackets."""
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_said(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)
