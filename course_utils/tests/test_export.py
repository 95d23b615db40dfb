"""Trained models as ONNX, and the page that hears words in a browser."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from course_utils import audio, exercises, programs, runs, settings
from course_utils.corpora import embedded, speech_commands
from course_utils.interactive import opening
from course_utils.programs import page
from course_utils.programs.base import Refused
from course_utils.programs.graph import Probabilities, one_clip
from course_utils.tests.browser import browser_with, complaints_about, needs_browser

pytest.importorskip("onnxscript", reason="the extra [export] is not installed")
export = pytest.importorskip("course_utils.programs.export")

WORDS = ["yes", "no", "up", "down"]
#: Where the npm package onnxruntime-web lies unpacked.
RUNTIME = os.environ.get("ONNXRUNTIME_WEB", "")


def of(stage: int, network: str, features: str | None = None, given=None, **arguments):
    """An untrained network of a solution, as a checkpoint would give it."""
    [path] = (settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb")
    names = [name for name in (network, features) if name]
    defined = exercises.definitions(path, names)
    torch.manual_seed(0)
    made = defined[network](**arguments).eval()
    for layer in made.modules():  # batch norm that has seen something
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
    prepared = features and runs.checkpoint.with_arguments(defined[features], given or {})
    about = {"class": network, "table": {"a": "a"} if stage == 4 else {}}
    return runs.TrainedModel(made, WORDS, 16_000, prepared, about, path)


STATISTICS = {"mean": torch.full((40, 1), -30.0), "std": torch.full((40, 1), 15.0)}
STAGES = {
    "1 raw": (1, "SpeechMLP", None, None, {"classes": 4}),
    "1 log-mel": (1, "SpeechMLP", "LogMel", None, {"classes": 4, "inputs": 1020}),
    "2 CNN": (2, "WaveformCNN", "halve_rate", None, {"classes": 4}),
    "2 ResNet": (2, "LogMelResNet", "halve_rate", None, {"classes": 4}),
    "3 LSTM": (3, "SpeechLSTM", "prepare", {"spread": torch.full((12, 1), 20.0)}, {"classes": 4}),
    "4 CTC": (4, "SpeechCTC", "prepare_batch", STATISTICS, {"bands": 40, "symbols": 30}),
}


def speech(count: int, same_length: bool) -> list[torch.Tensor]:
    """Waveforms (1, 1, time) with a word at some level in noise, the first without a word.

    None is all zeros: stage 1 divides each clip by its spread, and of silence that is rounding.
    """
    generator = torch.Generator().manual_seed(0)
    words = [embedded.say(word) for word in WORDS]
    found = [1e-3 * torch.randn(1, 1, 16_000, generator=generator)]
    for number in range(1, count):
        size = 16_000 if same_length else int(torch.randint(8_000, 64_000, (), generator=generator))
        level = 10 ** float(-3 * torch.rand((), generator=generator))
        noise = 1e-3 * torch.randn(1, size, generator=generator)
        found.append((audio.fit(level * words[number % 4], size) + noise)[None])
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_the_file_equals_torch_on_200_clips(tmp_path, stage):
    *given, arguments = STAGES[stage]
    model = of(*given, **arguments)
    export.write(model, tmp_path / "model.onnx")
    clips = [(clip, None) for clip in speech(200, same_length=stage != "4 CTC")]
    compared = export.compare(
        lambda clip: export.probabilities(model(clip)), tmp_path / "model.onnx", clips
    )
    assert compared.largest < export.TOLERANCE
    content = (tmp_path / "model.onnx").read_bytes()
    assert str(settings.CHECKOUT).encode() not in content and b".py" not in content
    if stage in ("2 CNN", "3 LSTM"):
        left = export.quantise(tmp_path / "model.onnx", tmp_path / "small.onnx")
        assert left == []
        assert (tmp_path / "small.onnx").stat().st_size < 0.65 * len(content)
        rounded = export.compare(
            export.opened(tmp_path / "model.onnx"), tmp_path / "small.onnx", clips
        )
        assert 0 < rounded.largest < 0.1


class Looks(nn.Module):
    """Its Python looks at a number of the clip, and no graph can."""

    def forward(self, x):
        return x[:, 0, :4] * (2 if x.abs().max() > 0.5 else 3)


class Sorts(nn.Module):
    """No exporter has a form of this."""

    def forward(self, x):
        return torch.linalg.eigvals(x[:, 0, :16].reshape(1, 4, 4)).real


@pytest.mark.parametrize(
    "network, words",
    [(Looks, ".*data-dependent"), (Sorts, ".*No ONNX function found for .*linalg_eig")],
)
def test_what_cannot_be_exported_is_said_in_a_line(tmp_path, network, words):
    model = runs.TrainedModel(
        network().eval(), WORDS, 16_000, None, {"class": network.__name__, "table": {}}, tmp_path
    )
    with pytest.raises(Refused, match=f"{network.__name__} cannot be exported: {words}") as told:
        export.write(model, tmp_path / "model.onnx")
    assert "\n" not in str(told.value) and "\x1b" not in str(told.value)
    assert not (tmp_path / "model.onnx").exists()


def test_constants_are_what_no_clip_changes():
    *given, arguments = STAGES["3 LSTM"]
    module = Probabilities(of(*given, **arguments), (16_000, 16_000))
    shapes = [tuple(item.shape) for item in module.constants.values() if torch.is_tensor(item)]
    assert (512,) in shapes  # the window
    assert max(torch.Size(shape).numel() for shape in shapes) < 16_000  # nothing of the clip
    assert len(module.constants) < len(module.calls)


def test_one_clip_needs_no_packing_and_functions_come_back():
    before = nn.utils.rnn.pack_padded_sequence
    *given, arguments = STAGES["4 CTC"]
    model = of(*given, **arguments)
    x, lengths = model.features(speech(2, same_length=False)[1])
    with torch.no_grad():
        packed, _ = model.network(x, lengths)
        with one_clip(model.network):
            assert nn.utils.rnn.pack_padded_sequence is not before
            plain, _ = model.network(x, lengths)
    assert nn.utils.rnn.pack_padded_sequence is before
    assert torch.allclose(packed, plain, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nothing", "m.onnx"], "There is no checkpoint"),
        (["nothing"], "model.onnx"),
        (["nothing", "m.onnx", "--page", "p.html"], "npm pack onnxruntime-web"),
        (["nothing", "m.onnx", "--page", "p.html", "--runtime", "."], "does not hold"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    try:
        code = programs.run("export", arguments)
    except SystemExit as error:
        code = error.code
    told = capsys.readouterr().err
    assert code == 2 and words in told and told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def ready_network(path: Path) -> bytes:
    """The network that opens stage 1, as a page takes it: a second of sound to four words."""

    class Ready(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = opening.network()

        def forward(self, waveform):
            return self.network(waveform[:, 0])[:, : len(WORDS)]

    with export.quiet(), torch.no_grad():
        torch.onnx.export(
            Ready(), (torch.zeros(1, 1, 16_000),), path, dynamo=True, verbose=False,
            input_names=["waveform"], output_names=["probabilities"], external_data=False,
        )  # fmt: skip
    return path.read_bytes()


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    if not RUNTIME:
        pytest.skip("ONNXRUNTIME_WEB does not name the unpacked npm package onnxruntime-web")
    folder = tmp_path_factory.mktemp("page")
    model = ready_network(folder / "ready.onnx")
    made = page.made(model, WORDS, page.runtime(Path(RUNTIME)), 0.5)
    (folder / "words.html").write_text(made, encoding="utf-8")
    return folder / "words.html"


def sound_of(path: Path, word: str) -> Path:
    """A WAV of a word between two seconds of silence, as a fake microphone takes it."""
    said = nn.functional.pad(embedded.say(word), (32_000, 32_000))
    return audio.write(path, audio.resample(said, 16_000, 48_000), 48_000)


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("word", ["yes", "down"])
def test_the_page_from_disk_hears_a_word(html, tmp_path, word):
    with browser_with(sound_of(tmp_path / "said.wav", word)) as plain:
        asked = []
        plain.on("request", lambda request: asked.append(request.url))
        plain.goto(html.as_uri())
        plain.get_by_text("Ready. Press Listen").wait_for(timeout=60_000)
        plain.get_by_role("button", name="Listen").click()
        heard = plain.get_by_role("log")
        heard.get_by_text(word).wait_for(timeout=30_000)
        plain.wait_for_timeout(2_000)
        names = heard.inner_text().split()
        # Windows that cut the word may hear another one: seen once, on a busy core.
        assert word in names and len(names) <= 2
        assert not complaints_about(plain, "main")
        plain.get_by_role("button", name="Stop").click()
        plain.get_by_text("Stopped.").wait_for()
        schemes = {re.match(r"\w+", url)[0] for url in asked}
        assert schemes <= {"file", "blob", "data"}


@pytest.mark.browser
@needs_browser
def test_the_page_says_what_is_wrong(html, tmp_path):
    with browser_with(refused=True) as plain:
        plain.goto(html.as_uri())
        plain.get_by_text("Ready. Press Listen").wait_for(timeout=60_000)
        plain.get_by_role("button", name="Listen").click()
        plain.get_by_text("The microphone was refused.").wait_for(timeout=20_000)
        plain.evaluate("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
        plain.get_by_role("button", name="Listen").click()
        plain.get_by_text("This browser gives no microphone").wait_for(timeout=20_000)
    broken = shutil.copy(html, tmp_path / "broken.html")
    text = re.sub(r'(id="model">)[^<]+', r"\1", Path(broken).read_text("utf-8"))
    Path(broken).write_text(text, encoding="utf-8")
    with browser_with() as plain:
        plain.goto(Path(broken).as_uri())
        plain.get_by_text("The network cannot run in this browser").wait_for(timeout=60_000)


@pytest.mark.slow
def test_a_trained_network_is_exported_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_QUICK", "0")
    [path] = (settings.CHECKOUT / "labsolutions").glob("03_*.ipynb")
    space = exercises.definitions(path, ["SpeechLSTM", "prepare"])
    corpus = speech_commands.load("embedded", words=speech_commands.COMMANDS, verbose=False)
    x, y = corpus.split("train").tensors()
    given = {"spread": torch.full((12, 1), 20.0)}

    def fit(training, model, data, *, epochs):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.004)
        for _ in training.epochs(epochs, model=model, optimiser=optimiser):
            for rows in torch.randperm(len(x)).split(64):
                loss = nn.functional.cross_entropy(
                    model(space["prepare"](x[rows], **given)), y[rows]
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            training.update(score=-loss.item(), train_loss=loss.item())

    runs.train_or_load(
        "lstm", space["SpeechLSTM"], {"classes": len(corpus.words)}, fit, [], stage=3,
        corpus=corpus, settings={"epochs": 6}, seed=0, device=torch.device("cpu"), show=False,
        features=space["prepare"], feature_arguments=given,
    )  # fmt: skip
    [folder] = (tmp_path / "runs").glob("lstm-*")  # beside it lies its lock
    capsys.readouterr()
    assert programs.run("export", [str(folder), str(tmp_path / "words.onnx"), "--int8"]) == 0
    told = capsys.readouterr().out
    after, before = map(float, re.search(r"(\d+\.\d)% of 200 are right, (\d+\.\d)%", told).groups())
    assert before > 60 and abs(after - before) < 3
