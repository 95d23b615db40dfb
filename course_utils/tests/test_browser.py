"""The notebooks in front of a screen: JupyterLab in chromium, with a microphone that speaks."""

import platform
import re
import shutil

import pytest
import torch

from course_utils import audio, exercises, settings
from course_utils.corpora import embedded
from course_utils.tests.browser import Lab, Page, browser_with, needs_browser, notebook_of

pytestmark = [pytest.mark.browser, needs_browser]

WIDGETS = """
import torch
from course_utils import interactive
tone = 0.5 * torch.sin(torch.arange(16_000) * 0.2)[None]
interactive.ShiftExplorer([tone], ["tone"], lambda clip: {"tone": 0.5 + clip[0, 0].item()}, 16_000);
"""
EXPLORERS = [
    """
import torch
from course_utils import interactive
tone = 0.5 * torch.sin(torch.arange(32_000) * 0.2)[None]
effects = {name: (lambda x, v: x * v, 0, 2, 0.1, 1, "") for name in ("A", "B", "C", "D")}
interactive.AugmentationExplorer([tone], ["a"], effects, 16_000, lambda clip: {"a": 0.9, "b": 0.1});
""",
    """
frames = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).log_softmax(dim=1)
interactive.CTCExplorer(frames, "-ab", 0.05, tone, 16_000, said="ab");
""",
]
VOICE = """
import torch
from course_utils import interactive
def heard(clip):
    print("heard", tuple(clip.shape), "peak", round(float(clip.abs().max()), 1))
panel = interactive.your_voice(heard, seconds=0.5, fallback=torch.ones(1, 800))
"""


OPENING = """
import torch
from course_utils import interactive
from course_utils.corpora import embedded
interactive.first_words(embedded.say("no"), "no")
"""
LISTENING = """
import torch
from course_utils import interactive, listening
from course_utils.interactive import opening
torch.set_num_threads(1)  # two wait for each other where the processor is busy
network, names, STEP = opening.network(), opening.about()["classes"], 1_600
def in_windows(samples, kept):
    x = samples if kept is None else torch.cat([kept, samples])
    count = max(0, 1 + (len(x) - 16_000) // STEP)
    windows = x.unfold(0, 16_000, STEP)[:count] if count else []
    rows = [network(window[None]) for window in windows]
    return torch.cat(rows) if rows else torch.zeros(0, len(names)), x[count * STEP :]
def find_events(posteriors, threshold, smooth, refractory):
    means = posteriors.unfold(0, smooth, 1).mean(dim=2) if len(posteriors) >= smooth else []
    return [(t + smooth - 1, int(p.argmax())) for t, p in enumerate(means) if p.max() >= threshold]
detector = listening.Detector(
    names[:4], in_windows, find_events, 0.9, smooth=2, refractory=15, hop=STEP, first=16_000)
listener = interactive.listen(detector)
"""
LISTEN_TO_A_RECORDING = """
from course_utils.corpora import embedded
said = torch.cat([embedded.say("yes"), torch.zeros(1, 16_000), embedded.say("no")], dim=1)
interactive.listen(detector, said);
"""
TRAINING = """
import os
os.environ["COURSE_QUICK"] = "0"  # a quick run keeps nothing
import time
from types import SimpleNamespace
from torch import nn
from course_utils.runs import train_or_load
corpus = SimpleNamespace(words=["a"], name="toy", fingerprint="0", sample_rate=16_000)
class Net(nn.Linear):
    def forward(self, x):
        return super().forward(x)
def fit(training, model, data, *, epochs):
    for epoch in training.epochs(epochs, model=model):
        time.sleep(0.25)
        training.update(score=epoch, train_loss=1 / (1 + epoch))
settings = {"epochs": 30}
model, run = train_or_load("toy", Net, {"in_features": 2, "out_features": 1}, fit, [], stage=1,
                           corpus=corpus, settings=settings, seed=0)
print("epochs", run["epochs"])
"""
FIGURES = """
import torch
from course_utils import plotting, results
sounds = [0.3 * torch.sin(torch.arange(8_000) * (0.1 + 0.02 * i)) for i in range(6)]
plotting.show(plotting.waveform(sounds[0], 16_000, name="a tone"))
plotting.players([(sound, f"tone {i}") for i, sound in enumerate(sounds)], 16_000)
"""
TABLE = "results.table(stage=2)"


def scene(path, seconds):
    """Write words of four people, and noise alone from two thirds on; returns (word, its end)."""
    generator, parts, said = torch.Generator().manual_seed(0), [], []
    for number in range(2 * seconds // 6):
        word = ("yes", "no", "up", "down")[number % 4]
        clip = embedded.say(word, (59, 9, 19, 29)[number // 4 % 4])
        loud = (clip[0].abs() > 0.05 * clip.abs().max()).nonzero()
        said.append((word, 2 * number + float(loud[-1]) / 16_000))
        parts += [clip, torch.zeros(1, 16_000)]
    sound = torch.nn.functional.pad(torch.cat(parts, dim=1), (0, 16_000 * seconds // 3))
    level = torch.where(torch.arange(sound.shape[1]) < 32_000 * seconds // 3, 1e-4, 0.03)
    sound += level * torch.randn(sound.shape, generator=generator)
    audio.write(path, audio.resample(sound, 16_000, 48_000), 48_000)
    return said


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "course"
    (folder / "notebooks").mkdir(parents=True)
    for path in (settings.CHECKOUT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, folder / "notebooks" / path.name)
    solution = next((settings.CHECKOUT / "labsolutions").glob("01_*.ipynb"))
    shutil.copy(solution, folder / "notebooks" / "solved.ipynb")
    notebook_of(folder / "widgets.ipynb", WIDGETS, VOICE)
    notebook_of(folder / "explorers.ipynb", *EXPLORERS)
    notebook_of(folder / "opening.ipynb", OPENING)
    notebook_of(folder / "listening.ipynb", LISTENING, LISTEN_TO_A_RECORDING)
    notebook_of(folder / "training.ipynb", TRAINING)
    notebook_of(folder / "outputs.ipynb", FIGURES, TABLE, WIDGETS)
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


@pytest.mark.parametrize("version", [platform.python_version(), "3.11.0"])
def test_nothing_but_another_version_of_python_makes_a_notebook_unsaved(page, lab, version):
    notebook = exercises.read(lab.folder / "notebooks" / "01_speech_commands_mlp.ipynb")
    notebook.metadata.language_info.version = version
    path = lab.folder / "opened.ipynb"
    exercises.write(path, notebook)
    page.open(path.name)
    page.page.wait_for_timeout(3_000)
    other = version != platform.python_version()
    assert page.page.locator(".jp-mod-dirty").count() == other
    if other:  # what is written then
        page.command("docmanager:save")
        page.page.wait_for_timeout(2_000)
        notebook.metadata.language_info.version = platform.python_version()
    assert path.read_text("utf-8") == exercises.to_text(notebook)


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


def test_a_moved_slider_changes_the_picture(page):
    page.open("widgets.ipynb")
    page.run(0)
    picture = page.output(0).locator("img").first
    before = picture.get_attribute("src")
    page.output(0).locator(".noUi-handle").first.press("ArrowRight")
    page.page.wait_for_function("([e, src]) => e.isConnected ? e.src !== src : true",
                                arg=[picture.element_handle(), before], timeout=10_000)
    assert page.output(0).locator("img").first.get_attribute("src") != before


def test_the_microphone_is_heard_shown_and_played(lab, tmp_path):
    sound = tmp_path / "tone.wav"
    audio.write(sound, 0.4 * torch.sin(torch.arange(96_000) * 0.1)[None], 48_000)
    with browser_with(sound) as plain:
        page = Page(plain, lab)
        page.open("widgets.ipynb")
        page.run(1)
        assert page.output(1).get_by_text("heard (1, 800) peak 1.0").count() == 1
        players = page.output(1).locator("audio").count()
        page.output(1).get_by_role("button", name="Record 0.5 s").click()
        page.output(1).get_by_text("heard (1, 8000) peak").wait_for(timeout=20_000)
        assert page.output(1).locator("audio").count() == players + 1
        assert page.output(1).locator("img[alt*='Waveform of your recording']").count() == 1


def test_the_ready_network_hears_its_example_and_the_microphone(lab, tmp_path):
    sound = tmp_path / "yes.wav"
    said = torch.nn.functional.pad(embedded.say("yes"), (0, 32_000))
    audio.write(sound, audio.resample(said, 16_000, 48_000), 48_000)
    with browser_with(sound) as plain:
        page = Page(plain, lab)
        page.open("opening.ipynb")
        page.run(0)
        output = page.output(0)
        assert output.get_by_text("It hears: no (").count() == 1
        output.get_by_role("button", name="Record 1.5 s").click()
        output.locator("img[alt*='It hears: yes (']").wait_for(timeout=30_000)
        assert output.get_by_text("It hears: yes (").count() == 1
        assert output.locator("audio").count() == 2


def test_a_refused_microphone_is_told(lab):
    with browser_with(refused=True) as plain:
        page = Page(plain, lab)
        page.open("widgets.ipynb")
        page.run(1)
        page.output(1).get_by_role("button", name="Record 0.5 s").click()
        page.output(1).get_by_text("The microphone was refused").wait_for(timeout=20_000)


def heard_in(output):
    """What the log of a listener says: (word, second, delay)."""
    lines = output.get_by_role("log").inner_text().splitlines()
    found = [re.fullmatch(r"(\w+) at (\S+) s .*, shown (\S+) s later", line) for line in lines]
    return [(match[1], float(match[2]), float(match[3])) for match in found]


def test_a_scene_of_a_minute_gives_its_events_and_its_noise_none(lab, tmp_path):
    said = scene(tmp_path / "scene.wav", 60)
    with browser_with(tmp_path / "scene.wav") as plain:
        page = Page(plain, lab)
        page.open("listening.ipynb")
        page.run(0)
        output = page.output(0)
        output.get_by_role("button", name="Start listening").click()
        output.get_by_text("yes at 8.").wait_for(timeout=60_000)
        seen = output.locator(".strip").get_attribute("aria-label")
        assert re.search(r"before \d+ s. Heard: .*down at 6.*, yes at 8", seen), seen
        assert not page.complaints()
        output.locator("[aria-label*='before 61 s. Heard: nothing']").wait_for(timeout=90_000)
        output.get_by_role("button", name="Stop listening").click()
        heard = heard_in(output)
    assert [word for word, _, _ in heard] == [word for word, _ in said]
    apart = [second - end for (_, second, _), (_, end) in zip(heard, said, strict=True)]
    assert max(map(abs, apart)) < 0.5, apart
    assert all(0 <= delay < 2 for _, _, delay in heard), heard


def test_listening_needs_no_mouse_and_says_that_the_kernel_is_gone(lab, tmp_path):
    scene(tmp_path / "scene.wav", 12)
    with browser_with(tmp_path / "scene.wav") as plain:
        page = Page(plain, lab)
        page.open("listening.ipynb")
        page.run(0)
        output, keys = page.output(0), plain.keyboard
        output.get_by_role("button", name="Start listening").focus()
        keys.press("Enter")
        output.get_by_text("Listening.").wait_for(timeout=20_000)
        keys.press("Tab")
        keys.press("ArrowRight")
        slider = output.get_by_role("slider", name="Threshold")
        assert slider.get_attribute("aria-valuetext") == "0.909"
        keys.press("Shift+Tab")
        keys.press("Space")
        assert output.get_by_role("status").inner_text() == "Stopped."
        keys.press("Space")
        output.get_by_text("Listening.").wait_for(timeout=20_000)
        page.restart_kernel()
        output.get_by_text("The kernel was restarted: run this cell again.").wait_for(timeout=9_000)
        assert output.get_by_role("button", name="Start listening").count() == 1
        assert words_after(page, 0) == f'"{LOST}"'


@pytest.mark.parametrize(("browser", "words"), [
    ({"refused": True}, "The microphone was refused."),
    ({"microphone": False}, "No microphone was found."),
])  # fmt: skip
def test_without_a_microphone_listening_says_why_and_hears_a_recording(lab, browser, words):
    with browser_with(**browser) as plain:
        page = Page(plain, lab)
        page.open("listening.ipynb")
        page.run_all()
        output = page.output(1)
        output.get_by_role("button", name="Start listening").click()
        output.get_by_text(words).wait_for(timeout=20_000)
        assert output.locator("img[alt*='Heard above 0.90: yes at 1.1 s, no at 2.']").count() == 1
        output.get_by_role("button", name="Listen to the recording").click()
        output.get_by_text("The recording is over.").wait_for(timeout=20_000)
        assert [(word, round(second)) for word, second, _ in heard_in(output)] == [
            ("yes", 1), ("no", 3)]


def test_a_file_that_would_end_the_connection_is_refused(page, tmp_path):
    page.open("widgets.ipynb")
    page.run(1)
    output = page.output(1)
    sound = audio.write(tmp_path / "a.wav", torch.ones(1, 800), 16_000).read_bytes()
    for content, words in (
        (bytes(11_000_000), "The file has more than 10 MB"), (sound, "a.wav was used."),
    ):
        with page.page.expect_file_chooser() as chooser:
            output.get_by_role("button", name="Upload (0)").click()
        file = {"name": "a.wav", "mimeType": "audio/wav", "buffer": content}
        chooser.value.set_files([file])
        output.get_by_text(words).wait_for(timeout=20_000)


def test_a_training_is_stopped_in_a_line_and_goes_on(page):
    page.open("training.ipynb")
    page.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0")
    page.command("notebook:run-cell")
    page.output(0).get_by_text("Epoch 3/30").first.wait_for(timeout=60_000)
    page.interrupt()
    text = page.output(0).inner_text()
    assert "stopped after epoch" in text
    assert "what was learnt is kept; run the cell again to go on" in text
    assert "Traceback" not in text
    page.run(0)
    text = page.output(0).inner_text()
    assert "Going on after epoch" in text
    assert "epochs 30" in text


@pytest.mark.parametrize("width", [1366, 800, 400])
def test_outputs_fit_the_window_and_axe_finds_nothing_serious(lab, width):
    with browser_with(width=width) as plain:
        page = Page(plain, lab)
        page.open("outputs.ipynb")
        if width < 1000:
            page.command("application:toggle-left-area")
        page.run_all()
        page.page.get_by_role("slider", name="Shift (ms)").wait_for()
        for theme in ("light", "dark"):
            if theme == "dark":
                page.dark()
            assert not page.complaints(), f"{theme}, {width} px"
        wide = page.page.evaluate(
            """() => [...document.querySelectorAll(".jp-Cell-outputArea audio")].filter(
               e => e.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert wide == 0, f"{wide} players end outside of a window of {width} px"


def test_explorers_fit_a_laptop_and_follow_the_sound(page):
    page.open("explorers.ipynb")
    page.run_all()
    for index, limit in ((0, 560), (1, 560)):  # measured: 522 and 449 px
        page.output(index).locator("audio").first.wait_for()
        height = page.output(index).bounding_box()["height"]
        assert height < limit, f"explorer {index} is {height:.0f} px tall"
    follows = page.output(1)
    readout = follows.locator(".widget-readout")
    assert readout.inner_text() == "20"
    follows.locator("audio").evaluate("player => { player.currentTime = 0.3 }")
    page.page.wait_for_function(
        "e => e.textContent === '6'", arg=readout.element_handle(), timeout=10_000
    )
    follows.locator("img[alt^='Frame 6 (0.30 s)']").wait_for(timeout=10_000)
    follows.locator(".noUi-handle").press("ArrowLeft")
    page.page.wait_for_function(
        "e => Math.abs(e.currentTime - 0.25) < 0.01",
        arg=follows.locator("audio").element_handle(), timeout=10_000,
    )
    page.restart_kernel()
    assert words_after(page, 0) == words_after(page, 1) == f'"{LOST}"'


def test_a_player_moves_its_own_explorer_alone(page, lab):
    notebook_of(lab.folder / "twice.ipynb", *EXPLORERS, EXPLORERS[1])
    page.open("twice.ipynb")
    page.run_all()
    first, second = page.output(1), page.output(2)
    second.locator("audio").evaluate("player => { player.currentTime = 0.3 }")
    second.locator("img[alt^='Frame 6 (0.30 s)']").wait_for(timeout=10_000)
    assert first.locator(".widget-readout").inner_text() == "20"
    second.locator(".noUi-handle").press("ArrowLeft")
    second.locator("img[alt^='Frame 5 (0.25 s)']").wait_for(timeout=10_000)
    assert first.locator("audio").evaluate("player => player.currentTime") == 0
