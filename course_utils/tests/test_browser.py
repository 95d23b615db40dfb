"""The notebooks in front of a screen: JupyterLab in chromium, with a microphone that speaks."""

import shutil

import pytest

from course_utils import settings
from course_utils.tests.browser import Lab, Page, browser_with, needs_browser, notebook_of

pytestmark = [pytest.mark.browser, needs_browser]

WIDGETS = """
import torch
from course_utils import interactive
tone = 0.5 * torch.sin(torch.arange(16_000) * 0.2)[None]
interactive.ShiftExplorer([tone], ["tone"], lambda clip: {"tone": 0.5 + clip[0, 0].item()}, 16_000);
"""
VOICE = """
import torch
from course_utils import interactive
def heard(clip):
    print("heard", tuple(clip.shape), "peak", round(float(clip.abs().max()), 1))
panel = interactive.your_voice(heard, seconds=0.5, fallback=torch.ones(1, 800))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "course"
    (folder / "notebooks").mkdir(parents=True)
    for path in (settings.CHECKOUT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, folder / "notebooks" / path.name)
    solution = next((settings.CHECKOUT / "labsolutions").glob("01_*.ipynb"))
    shutil.copy(solution, folder / "notebooks" / "solved.ipynb")
    notebook_of(folder / "widgets.ipynb", WIDGETS, VOICE)
    private = folder.parent
    variables = {
        "COURSE_QUICK": "1", "COURSE_RUNS": str(private / "runs"), "COURSE_DEVICE": "cpu",
        "COURSE_RESULTS": str(private / "results.json"), "COURSE_THREADS": "1",
        "PYTHONPATH": str(settings.CHECKOUT),
    }  # fmt: skip
    server = Lab(folder, variables)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def page(lab):
    with browser_with() as page:
        yield Page(page, lab)


def test_run_all_of_an_unsolved_notebook_leads_to_the_first_open_exercise(page):
    page.open("notebooks/01_speech_commands_mlp.ipynb")
    page.run_all()
    pointer = page.page.get_by_text("Exercise 1.1 is open: the work goes on here.")
    assert pointer.count() == 1
    assert page.in_view(pointer)
    errors = page.page.locator("[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.count() == 1
    assert errors.inner_text().strip().startswith("NotImplementedError: Exercise 1.1 - ")
    assert len(errors.inner_text().strip().splitlines()) == 1


def test_run_all_of_a_solved_notebook_ends_without_an_error(page):
    page.open("notebooks/solved.ipynb")
    page.run_all()
    assert page.page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    prompts = page.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert all(text.strip("[]: ").isdigit() for text in prompts)


LOST = "Nothing answers here: run this cell again."


def words_after(page, index):
    """What the style sheet writes behind the widget of a cell."""
    return page.page.evaluate(
        """index => [...document.querySelectorAll(".jp-Notebook .jp-Cell")[index]
           .querySelectorAll(".jupyter-widgets")].map(e => getComputedStyle(e, "::after").content)
           .filter(text => text.length > 9).join("")""",
        index,
    )


def test_widgets_that_lost_their_kernel_say_so(page):
    page.open("widgets.ipynb")
    page.run_all()
    page.output(0).locator(".widget-slider").first.wait_for()
    page.output(1).get_by_role("button", name="Record 0.5 s").wait_for()
    assert words_after(page, 0) == words_after(page, 1) == ""
    page.restart_kernel()
    assert words_after(page, 0) == words_after(page, 1) == f'"{LOST}"'
    page.run(0)
    page.output(0).locator(".widget-slider").first.wait_for()
    assert words_after(page, 0) == ""


def test_a_notebook_that_is_opened_again_says_so(page, lab):
    page.open("widgets.ipynb")
    page.run_all()
    page.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.page.wait_for_timeout(1000)
    lab.stop()
    lab.start()
    page.open("widgets.ipynb")
    page.page.wait_for_timeout(3000)
    assert words_after(page, 0) == words_after(page, 1) == f'"{LOST}"'
    shown = page.page.get_by_text("Error displaying widget")
    assert all(style == "0px" for style in shown.evaluate_all(
        "all => all.map(e => getComputedStyle(e).fontSize)"))
