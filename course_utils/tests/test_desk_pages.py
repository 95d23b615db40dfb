"""The desk's pages in a real browser: scripts of submissions are words, and everybody can read."""

import re

import pytest

from course_utils.instructor.desk import outputs
from course_utils.tests.browser import browser_with, complaints_about, needs_browser
from course_utils.tests.desk_class import LONG, SCRIPT, a_class, hostile, submission

pytestmark = [pytest.mark.browser, needs_browser]

PAGES = ("report.html", "lecture.html", "feedback/mallory.html", "feedback/ada.html")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A class in which three students write scripts everywhere, one of them in the name, too."""
    folder = tmp_path_factory.mktemp("desk")
    names, submissions = a_class(
        ada=(["right", "wrong"],),
        mallory=hostile("mallory"),
        eve=hostile("eve"),
        **{f"x{SCRIPT}": hostile(f"x{SCRIPT}")},
        bob=submission("bob", status=SCRIPT, reason=SCRIPT),
    )
    for student in ("carl", "dora"):
        made = submission(student, ["right", "right"], predictions={"p": "x = {'new': 0.5}"})
        made.marks["9.1"].answer = LONG
        names[made.key], submissions[made.key] = student, made
    (folder / "overrides.csv").write_text(f"student,exercise,points,reason\nada,9.2,1,{SCRIPT}\n")
    outputs.write(folder, 9, f"Echoes {SCRIPT}", names, submissions, [SCRIPT], None)
    return folder


@pytest.fixture(
    scope="module", params=[(1366, "light"), (1366, "dark"), (400, "light"), (400, "dark")], ids=str
)
def page(request):
    width, scheme = request.param
    with browser_with(width=width) as page:
        page.emulate_media(color_scheme=scheme)
        yield page


def test_nothing_runs_and_nothing_is_loaded(out, page):
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    shown = sorted(out.rglob("*.html"))
    assert len(shown) == 9
    for path in shown:
        page.goto(path.as_uri())
        page.evaluate("[...document.querySelectorAll('details')].forEach(part => part.open = true)")
        page.wait_for_timeout(50)
        assert page.title() != "ran", path
        assert page.locator("script, img, iframe, object, form, base").count() == 0
    assert {re.sub(r".*/", "", url) for url in asked} <= {
        re.sub(r".*/", "", path.as_uri()) for path in shown
    }
    assert not said


def test_a_script_that_the_desk_let_through_would_be_stopped(out, page, tmp_path):
    """The policy holds by itself: the same page with one string that is not escaped."""
    text = (out / "report.html").read_text(encoding="utf-8")
    spoilt = text.replace("<main>", f'<main title="{SCRIPT}')
    for name, content in (("held", spoilt), ("bare", re.sub("<meta http-equiv[^>]*>", "", spoilt))):
        path = tmp_path / f"{name}.html"
        path.write_text(content, encoding="utf-8")
        page.goto(path.as_uri())
        page.wait_for_timeout(200)
        assert (page.title() == "ran") == (name == "bare")


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_it(out, page, name):
    page.goto((out / name).as_uri())
    page.evaluate("[...document.querySelectorAll('details')].forEach(part => part.open = true)")
    assert complaints_about(page, "html") == []
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window


def test_a_key_leads_to_the_students_page(out, page):
    page.goto((out / "report.html").as_uri())
    links = page.locator("a[href^=feedback]")
    targets = links.evaluate_all("all => [...new Set(all.map(link => link.href))]")
    assert len(targets) >= 6
    for target in targets:
        page.goto(target)
        assert page.locator("h1").inner_text().startswith("Stage 9: Echoes")
