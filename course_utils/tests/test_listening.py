"""A detector at work: cut as you like, the same events."""

import numpy as np
import pytest
import torch

from course_utils import exercises, settings
from course_utils.listening import Detector

WORDS = ["one", "two"]


@pytest.fixture(scope="module")
def find_events():
    [path] = (settings.CHECKOUT / "labsolutions").glob("03_*.ipynb")
    code = exercises.definitions(path)
    if "find_events" not in code:
        pytest.skip("the notebook has no exercise 3.14")
    return code["find_events"]


def hear(samples, kept):
    """Each pair of samples is a frame with their two values; a class behind them is no command."""
    x = samples if kept is None else torch.cat([kept, samples])
    count = len(x) // 2
    pairs = x[: 2 * count].view(count, 2)
    return torch.cat([pairs, 1 - pairs.sum(dim=1, keepdim=True)], dim=1), x[2 * count :]


@pytest.mark.parametrize("smooth", [1, 4])
def test_chunks_of_any_length_give_the_events_of_the_whole(find_events, smooth):
    detector = Detector(WORDS, hear, find_events, 0.6, smooth, 5, hop=2, first=2, sample_rate=10)
    for seed in range(20):
        random = np.random.default_rng(seed)
        sound = torch.from_numpy(random.random(401, np.float32))
        pairs = sound[:400].view(200, 2)
        expected = [
            ((2 + 2 * frame) / 10, WORDS[word])
            for frame, word in find_events(pairs, 0.6, smooth, 5)
        ]
        stream, found, posteriors = detector.stream(), [], []
        for chunk in sound.tensor_split(np.sort(random.integers(0, 401, 30)).tolist()):
            rows, events = stream.feed(chunk)
            posteriors.append(rows)
            found += events
        assert [(event.second, event.word) for event in found] == expected
        assert torch.equal(torch.cat(posteriors), pairs)
        assert stream.frames == 200 and stream.seconds == 40.1
        assert detector.events(sound, 0.7) == found
        assert all(event.score >= 0.6 for event in found)


def test_another_threshold_holds_from_the_next_chunk_on(find_events):
    detector = Detector(WORDS, hear, find_events, 0.9, 1, 1, hop=2, first=2, sample_rate=10)
    stream = detector.stream()
    sound = torch.tensor([0.7, 0.0])
    assert stream.feed(sound)[1] == []
    stream.threshold = 0.5
    [event] = stream.feed(sound)[1]
    assert (event.word, event.second) == ("one", 0.4)
