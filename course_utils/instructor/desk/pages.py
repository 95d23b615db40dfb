"""Pages of the desk: no scripts, nothing from elsewhere, every string escaped."""

import html
import re
from collections.abc import Iterable

#: Signs that a page must not hold, and those that turn the direction of a line around.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_STYLE = (
    ":root{color-scheme:light dark;background:#fff;color:#111}"
    "@media(prefers-color-scheme:dark){:root{background:#111;color:#eee}}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;"
    "overflow-wrap:break-word}"
    "table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.2rem .6rem;"
    "border-bottom:1px solid #8886}pre{white-space:pre-wrap;border-left:3px solid #8888;"
    "padding-left:.6rem}h2{margin-top:2rem}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def text(words: object, longest: int = 500) -> str:
    """Words as a page can hold them, whoever wrote them: escaped, and cut at a length.

    Examples
    --------
    >>> text("<b onclick='x'>\\u202e")
    '&lt;b onclick=&#x27;x&#x27;&gt;\ufffd'
    """
    shown = str(words)
    shown = shown if len(shown) <= longest else f"{shown[:longest]}…"
    return html.escape(_HIDDEN.sub("\ufffd", shown))


def page(title: str, body: str, style: str = "") -> str:
    """A whole page; `body` is HTML, `title` is not."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{text(title)}</title><style>{_STYLE}{style}</style></head>"
        f"<body><main><h1>{text(title)}</h1>{body}</main></body></html>\n"
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; heads are words, cells are HTML. On a narrow screen it scrolls in itself."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        '<div class="wide" tabindex="0" role="group" aria-label="table"><table><thead>'
        f"<tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def items(lines: Iterable[str]) -> str:
    """A list of HTML lines; "" if there are none."""
    found = "".join(f"<li>{line}</li>" for line in lines)
    return f"<ul>{found}</ul>" if found else ""


def bar(share: float, words: str) -> str:
    """A bar of a share from 0 to 1 with words that say the same."""
    filled = f'<span style="width:{100 * share:.0f}%"></span>'
    return f'<span class="bar" aria-hidden="true">{filled}</span> {text(words)}'


#: For pages with tables and bars: what a page of feedback does without.
WIDE = (
    ".wide{overflow-x:auto}.bar{display:inline-block;width:min(8rem,20vw);height:.8rem;"
    "background:#8885;vertical-align:baseline}.bar span{display:block;height:100%;"
    "background:#0072b2}a{color:#0050a0}svg{max-width:100%}"
    "@media(prefers-color-scheme:dark){.bar span{background:#56b4e9}a{color:#8cc8ff}}"
)


def plural(count: int, noun: str) -> str:
    """``1 student``, ``2 students``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
