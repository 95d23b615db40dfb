"""What the trainings of a stage share, and what a trained network is asked in waveforms."""

import pytest
import torch

from course_utils import results, runs
from course_utils.tests.test_runs import CORPUS, folder, from_notebook  # noqa: F401

STAGE = """
SIZES = (3,)

class Net(torch.nn.Module):
    def __init__(self, classes, inputs=4):
        super().__init__()
        self.layer = torch.nn.Linear(inputs, classes)

    def forward(self, x):
        return self.layer(x)

def halve(waveforms, by=2):
    return waveforms[:, 0, ::by]

def evaluate(model, inputs, labels):
    logits = model.eval()(inputs)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    return loss.item(), (logits.argmax(dim=1) == labels).float().mean().item()

def fit(training, model, data, *, epochs, rate, seed):
    (x, y), (new_x, new_y), noises, ready = data
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in training.epochs(epochs, model=model, optimiser=optimiser):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(ready(x)), y).backward()
        optimiser.step()
        training.scored(evaluate(model, ready(x), y), evaluate(model, ready(new_x), new_y))

def mirrored(x, y):
    return torch.cat([x, x.flip(2)]), torch.arange(2).repeat_interleave(len(x))
"""


class Part:
    """Clips of two words: (clip, 1, 8)."""

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(count) % 2
        self.x = torch.randn(count, 1, 8, generator=generator) + 2 * self.labels.view(-1, 1, 1)
        self.speakers = ["a"] * count

    def tensors(self):
        return self.x, self.labels

    def __len__(self):
        return len(self.labels)


class Corpus:
    name, fingerprint, words = CORPUS.name, CORPUS.fingerprint, CORPUS.words
    sample_rate, caveats, synthetic = CORPUS.sample_rate, [], True

    def split(self, name):
        return {"train": Part(40, 1), "validation": Part(10, 2), "test": Part(12, 3)}[name]


@pytest.fixture
def stage(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path / "results.json"))
    return from_notebook(STAGE, monkeypatch)


@pytest.fixture
def train(stage):
    return runs.Trainer(
        stage["fit"], stage["evaluate"], stage=3, corpus=Corpus(), seed=1,
        device=torch.device("cpu"), features=stage["halve"], given={"by": 2}, heard=800,
        names={"Net": "little"}, rate=0.1,
    )  # fmt: skip


def test_a_training_is_told_only_what_differs(train, stage, capsys):
    trained = train("a name, with signs", stage["Net"], show=False)
    assert trained.run["settings"] == {"rate": 0.1, "epochs": 20, "seed": 1}
    assert (trained.run["arguments"], trained.run["labels"]) == ({"classes": 2}, ["no", "yes"])
    assert trained.run["feature_arguments"] == {"by": 2} and train.epochs == 20
    x, y = Corpus().split("test").tensors()
    logits = trained.network(x[:, 0, ::2])
    torch.testing.assert_close(trained.logits(x), logits)
    assert trained.accuracy(x, y) == pytest.approx(float((logits.argmax(1) == y).float().mean()))
    again = train("a name, with signs", stage["Net"], show=False)
    assert "Loaded runs/a-name-with-signs-" in capsys.readouterr().out
    assert again.seconds == trained.seconds
    other = train("a name, with signs", stage["Net"], {"inputs": 8}, given={"by": 1}, epochs=3,
                  rate=0.2, show=False)
    assert other.run["settings"] == {"rate": 0.2, "epochs": 3, "seed": 1}
    assert other.inputs(x).shape == (12, 8)


def test_other_features_come_without_the_arguments_of_the_usual_ones(train, stage):
    assert train("a", stage["Net"], features=stage["halve"], show=False).inputs(
        torch.zeros(3, 1, 8)
    ).shape == (3, 4)
    assert train("a", stage["Net"], features=stage["halve"], show=False).run[
        "feature_arguments"
    ] == {}


def test_a_task_makes_other_clips_and_counts_among_the_code(train, stage):
    trained = train("a", stage["Net"], task=stage["mirrored"], labels=["on", "back"], epochs=2,
                    show=False)
    assert trained.run["labels"] == ["on", "back"]
    assert {"fit", "Net", "halve", "evaluate", "mirrored"} <= trained.run["code"].keys()
    clips, labels = stage["mirrored"](*Corpus().split("validation").tensors())
    trained.record(clips, labels, split="validation", task="mirrored")
    [result] = results.load()
    assert (result.test_clips, result.classes, result.model) == (20, 2, "little")


def test_a_training_that_goes_on_from_another_is_another(train, stage, folder):  # noqa: F811
    first, second = (train("a", stage["Net"], rate=rate, show=False) for rate in (0.1, 0.3))
    on = [train("b", stage["Net"], start=start, epochs=1, rate=1e-9, show=False)
          for start in (first, second)]
    for start, trained in zip((first, second), on, strict=True):
        torch.testing.assert_close(trained.network.layer.weight, start.network.layer.weight)
    assert len(list(folder.glob("b-*"))) == 2


OWN = """
def fit_own(training, model, data, *, steps):
    x, y, other, ready = data
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in training.epochs(1, model=model):
        for _ in range(steps):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(ready(x)), y).backward()
            optimiser.step()
        training.extras["threshold"] = model(ready(other)).amax().item()
        training.update(score=0.0)
"""


def test_clips_of_ones_own_are_kept_with_their_words_and_what_fit_adds(
    monkeypatch, train, folder, capsys  # noqa: F811
):
    stage = from_notebook(STAGE + OWN, monkeypatch)
    (x, y), (other, _) = Part(12, 5).tensors(), Part(3, 6).tensors()
    given = [["moi", "none"], x, y, other, stage["halve"]]
    torch.manual_seed(0)
    network = stage["Net"](2)
    before = network.layer.weight.clone()
    tuned = train.on_clips("own", stage["fit_own"], network, *given, steps=40)
    assert torch.equal(network.layer.weight, before)
    assert tuned.accuracy(x, y) > 0.9
    [path] = folder.glob("own-*")
    kept = runs.load(path)
    assert kept["labels"] == ["moi", "none"]
    assert kept["corpus"] == "own recordings"
    expected = float(tuned.network(stage["halve"](other)).detach().amax())
    assert kept["extras"]["threshold"] == pytest.approx(expected)
    capsys.readouterr()
    again = train.on_clips("own", stage["fit_own"], network, *given, steps=40)
    assert "Loaded" in capsys.readouterr().out
    assert torch.equal(again.logits(x), tuned.logits(x))
    # As many other clips are another training.
    given[1] = -x
    train.on_clips("own", stage["fit_own"], network, *given, steps=40)
    assert "Loaded" not in capsys.readouterr().out
    assert len([*folder.glob("own-*")]) == 2


def test_what_was_trained_is_recorded_in_each_noise(train, stage):
    trained = train("a", stage["Net"], show=False)
    x, y = Corpus().split("test").tensors()
    trained.record({"": x, "rain": -x}, y, variant="first", headline=True)
    quiet, rain = results.load()
    assert (quiet.noise, rain.noise, quiet.headline, rain.headline) == ("", "rain", True, False)
    assert quiet.value == pytest.approx(trained.accuracy(x, y))
    assert (quiet.stage, quiet.train_clips, quiet.test_clips, quiet.classes) == (3, 40, 12, 2)


def test_classes_count_the_same_where_they_are_averaged(train, stage):
    def known():
        network = stage["Net"](2)
        with torch.no_grad():
            network.layer.weight.zero_()
            network.layer.bias.copy_(torch.tensor([0.0, 1.0]))  # always the second
        return network

    trained = train.directly(known)
    x, y = torch.randn(10, 1, 8), torch.tensor([0] * 9 + [1])
    assert trained.accuracy(x, y) == pytest.approx(0.1)
    assert trained.balanced_accuracy(x, y) == 0.5
    assert trained.right(x, y).tolist() == [*9 * [False], True]
    assert trained.seconds >= 0 and trained.run["device"] == "cpu"
    trained.record(x, y, metric="balanced_accuracy", train_clips=3)
    [result] = results.load()
    assert (result.value, result.chance, result.train_clips) == (0.5, 0.5, 3)


def test_networks_are_compared_on_versions_of_the_clips(train, stage):
    trained = train("a", stage["Net"], show=False)
    x, y = Corpus().split("test").tensors()
    found = runs.accuracies({"one": trained, "two": trained}, {0: x, 5: -x}, y)
    assert found["one"] == found["two"] == {0: trained.accuracy(x, y), 5: trained.accuracy(-x, y)}


@pytest.mark.parametrize(
    ("clips", "options", "epochs"),
    [(100, {}, 8), (7, {}, 60), (7, {"most": 40}, 40), (10_000, {"fewest": 10}, 10)],
)
def test_a_small_corpus_needs_more_passes(clips, options, epochs):
    assert runs.epochs_for(clips, 800, **options) == epochs
