"""Checks of what stands before a model: lengths, words, batches, splits."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import (
    call,
    chance,
    check,
    fail,
    generator,
    numpy_generator,
    passed,
)
from course_utils.checks.state import unset_memory_is_nan

# 1.1 - Pad or trim to one second


def _fitted(waveform: Tensor, samples: int) -> Tensor:
    """The oracle: number by number, in plain Python."""
    rows = [[*row[:samples], *[0] * (samples - len(row))] for row in waveform.tolist()]
    return torch.tensor(rows, dtype=waveform.dtype).reshape(len(rows), samples)


def _padded(waveform: Tensor, samples: int, share: float) -> Tensor:
    """With this share of the zeros in front."""
    lack = max(0, samples - waveform.shape[1])
    return F.pad(waveform[:, :samples], (int(share * lack), lack - int(share * lack)))


def _unset(waveform: Tensor, samples: int) -> Tensor:
    fitted = waveform.new_empty(waveform.shape[0], samples)
    fitted[:, : waveform.shape[1]] = waveform[:, :samples]
    return fitted


def _by_channels(waveform: Tensor, samples: int) -> Tensor:
    """Padded by what is lacking in channels."""
    return F.pad(waveform[:, :samples], (0, max(0, samples - len(waveform))))


_LENGTH_MISTAKES: dict[str, Callable] = {
    "the zeros belong at the end, so that the word stays where it was":
        lambda x, n: _padded(x, n, 1),
    "the zeros belong at the end, not on both sides": lambda x, n: _padded(x, n, 0.5),
    "cut the end of the clip, not its start": lambda x, n: _fitted(x[:, -n:], n),
    "cut the end of the clip, not both sides":
        lambda x, n: _fitted(x[:, max(0, x.shape[1] - n) // 2 :], n),
    "the clip is to be filled up with zeros, not repeated":
        lambda x, n: torch.from_numpy(np.resize(x.numpy(), (len(x), n))),
    "the clip is to be filled up with zeros, not with its last sample":
        lambda x, n: torch.cat([x[:, :n], x[:, -1:].expand(-1, max(0, n - x.shape[1]))], dim=1),
    "new memory was not set to zero (torch.empty holds anything)": _unset,
    "the length is an argument: it need not be 16,000": lambda x, n: _fitted(x, 16_000),
    "a clip that is too long is to be cut": lambda x, n: _padded(x, max(n, x.shape[1]), 0),
    "a clip that is too short is to be filled up": lambda x, n: x[:, :n],
    "keep the channels: (channel, samples)": lambda x, n: _fitted(x, n)[0],
    "keep every channel": lambda x, n: _fitted(x[:1], n),
    "keep the channels as they are, no mean over them": lambda x, n: _fitted(x.mean(0, True), n),
    "waveform.shape[1] is the time; len(waveform) counts channels": _by_channels,
    "one sample is lost: [:samples] is as many as samples says":
        lambda x, n: _fitted(x[:, : min(n, x.shape[1]) - 1], n),
}
_DTYPE_MISTAKES: dict[str, Callable] = {
    "the zeros that you add must have the waveform's dtype: new_zeros, not torch.zeros":
        lambda x, n: _fitted(x, n).float(),
    "torch.cat of two dtypes takes the wider one: zeros need the waveform's dtype":
        lambda x, n: (torch.cat([x[:, :n], torch.zeros(len(x), max(0, n - x.shape[1]))], dim=1)),
    "the zeros that you add must have the waveform's dtype, not NumPy's float64":
        lambda x, n: (_fitted(x, n).double()),
}


@check("1.1", _LENGTH_MISTAKES | _DTYPE_MISTAKES, draws=False)
def fit_to_length(answer: Callable) -> None:
    """A clip is padded with zeros at its end, or cut there.

    ``answer(waveform (channel, time), samples) -> (channel, samples)``
    """
    sizes = chance(1)
    # Sizes are small and all different, so that swapped axes or a fixed 16,000 cannot pass.
    shapes = [(1, 7, 12), (1, 12, 7), (2, 5, 9), (3, 9, 5), (1, 6, 6), (1, 0, 4), (1, 1, 16_000)]
    shapes += [(sizes.randint(1, 3), *sizes.sample(range(2, 20), 2)) for _ in range(3)]
    clips = [torch.rand(c, t, generator=generator(t)) + 1 for c, t, _ in shapes]
    cases = [(clip, samples) for clip, (_, _, samples) in zip(clips, shapes, strict=True)]
    # Samples as they lie in a file, and in double precision: to be padded, and to be cut.
    others = [((1000 * clips[0]).short(), 12), (clips[2].double(), 9), (clips[3].double(), 5)]
    otherwise = "the first samples must stay as they are, where they are; zeros behind them"
    mistakes = _LENGTH_MISTAKES | _DTYPE_MISTAKES
    with unset_memory_is_nan():
        for part in (
            [(clip, samples) for clip, samples in cases if clip.shape[1] < samples],
            [(clip, samples) for clip, samples in cases if clip.shape[1] >= samples],
            others,
        ):
            agree(answer, _fitted, part, mistakes, otherwise, 0)
    passed(f"clips of {', '.join(str(time) for _, time, _ in shapes)} samples were padded or cut")


# 1.2 - Words to indices and back

_WORDS = "yes no up down left right on off stop go bed bird cat dog tree wow".split()


def _indices(words: list[str], vocabulary: list[str]) -> Tensor:
    return torch.tensor([vocabulary.index(word) for word in words])


def _spelled(indices: Tensor, vocabulary: list[str]) -> list[str]:
    return [vocabulary[index] for index in indices.tolist()]


_SILENT = "an unknown word must not pass in silence as another word, or as none"
_WHOLE_WORD = "the whole word counts: no beginning of one, and no other spelling"
_WORD_MISTAKES: list[dict[str, Callable]] = [
    {
        "sort the words: an order that depends on the data gives each subset other labels":
            lambda words: list(dict.fromkeys(words)),
        "sort the words: the order of a set is another one at each start":
            lambda words: list(set(words)),
        "keep each word once": sorted,
        "from the first letter on, not from the last":
            lambda words: sorted(set(words), reverse=True),
        "sorted(...) makes a list": lambda words: np.unique(words),
    },
    {
        "an index is the word's position in the vocabulary that was given":
            lambda words, known: (_indices(words, sorted(set(words)))),
        "the vocabulary is used as it was given: do not sort it again":
            lambda words, known: (_indices(words, sorted(known))),
        "the first index is 0": lambda words, known: _indices(words, known) + 1,
        "torch's losses take class indices as int64 (torch.long): torch.tensor, not torch.Tensor":
            lambda words, known: _indices(words, known).float(),
        "torch's losses take class indices as int64 (torch.long)":
            lambda words, known: (_indices(words, known).int()),
        "return a tensor": lambda words, known: _indices(words, known).tolist(),
        "one index a word, in one dimension": lambda words, known: _indices(words, known)[:, None],
        _SILENT: lambda words, known: torch.tensor(
            [known.index(word) if word in known else 0 for word in words]
        ),
        _WHOLE_WORD: lambda words, known: _indices(
            [next((k for k in known if k.startswith(w.lower())), w) for w in words], known
        ),
    },
    {
        "in the order of the indices, each word as often as its index":
            lambda indices, known: [word for i, word in enumerate(known) if i in indices.tolist()],
        "the vocabulary is used as it was given":
            lambda indices, known: _spelled(indices, sorted(known)),
        "the first index is 0": lambda indices, known: _spelled(indices - 1, known),
        "a list of words, not one text": lambda indices, known: " ".join(_spelled(indices, known)),
    },
]
_WORD_TRUTH = (lambda words: sorted(dict.fromkeys(words)), _indices, _spelled)


@check("1.2", _WORD_MISTAKES, _WORD_TRUTH, draws=False)
def vocabulary(
    make_vocabulary: Callable, words_to_indices: Callable, indices_to_words: Callable
) -> None:
    """The words sorted, each once; words to indices and back; an unknown word is an error.

    ``make_vocabulary(words) -> list``, ``words_to_indices(words, vocabulary) -> (word,)``,
    ``indices_to_words(indices, vocabulary) -> list``
    """
    random = chance(2)
    # Nine words, so that the arbitrary order of a set cannot be the alphabetical one by luck.
    spoken = ["yes", "no", "up", "yes", "down", "left", "no", "stop", "right", "go", "on"]
    drawn = [random.choices(_WORDS, k=12) for _ in range(3)]  # others, in a second call
    cases = [(words,) for words in (spoken, spoken[::-1], sorted(spoken), *drawn)]
    otherwise = "sort the words and keep each once, anew in every call"
    agree(make_vocabulary, _WORD_TRUTH[0], cases, _WORD_MISTAKES[0], otherwise)

    lists = [sorted(set(spoken)), random.sample(_WORDS, 9), ["up", "no"]]  # not all in order
    cases = [(random.choices(known, k=7), known) for known in lists]
    otherwise = "an index is the word's position in the vocabulary that was given, from 0"
    agree(words_to_indices, _indices, cases, _WORD_MISTAKES[1], otherwise)
    for unknown in ("banana", "ye", "", "Yes", "yes "):
        try:
            got = words_to_indices(["stop", unknown], lists[0])
        except (KeyError, ValueError):
            continue
        except Exception as error:
            got, cause = type(error).__name__, "look whether the word is there before you use it"
        else:
            cause = _SILENT if unknown == "banana" else _WHOLE_WORD
        fail(f"a KeyError or ValueError for the unknown word {unknown!r}", got, cause)
    cases = [(_indices(random.choices(known, k=7), known), known) for known in lists]
    otherwise = "each index picks the word at its position; return a list of words"
    agree(indices_to_words, _spelled, cases, _WORD_MISTAKES[2], otherwise)
    passed("words there and back, in any order; an unknown word is an error")


# 1.3 - The shapes of a batch


def _collated(
    items: list, vocabulary: list[str], fit: Callable = _fitted, join: Callable = torch.stack,
    field: int = 2,
) -> tuple[Tensor, Tensor]:
    said = [item[field] for item in items]
    labels = _indices(said, vocabulary) if field == 2 else torch.tensor(said)
    return join([fit(item[0], 16_000) for item in items]), labels


def _longest_first(items: list, vocabulary: list[str]) -> tuple[Tensor, Tensor]:
    order = sorted(items, key=lambda item: -item[0].shape[1])
    return _collated(order, vocabulary)[0], _collated(items, vocabulary)[1]


_BATCH_MISTAKES: dict[str, Callable] = {
    "stack the clips along a new first dimension: (batch, 1, 16000)":
        lambda items, known: (_collated(items, known, join=torch.cat)),
    "fit every clip to 16,000 samples, not to the longest of the batch": lambda items, known: (
        _collated(items, known, lambda x, n: _fitted(x, max(i[0].shape[1] for i in items)))
    ),
    "16,000 samples, whatever the sample rate in field 1 is":
        lambda items, known: _collated(items, known, lambda x, n: _fitted(x, items[0][1])),
    "keep the order of the items": _longest_first,
    "keep the order of the items: they are not sorted by word":
        lambda items, known: _collated(sorted(items, key=lambda item: item[2]), known),
    "cut the end of a clip, not its start":
        lambda items, known: _collated(items, known, lambda x, n: _fitted(x[:, -n:], n)),
    "the word is field 2; the last one is the take":
        lambda items, known: _collated(items, known, field=4),
    "a label is the position in the vocabulary that was given, not in that of this batch":
        lambda items, known: _collated(items, sorted({item[2] for item in items})),
    "class indices are int64 (torch.long)":
        lambda items, known: (_collated(items, known)[0], _collated(items, known)[1].float()),
    "one label a clip, in one dimension":
        lambda items, known: (_collated(items, known)[0], _collated(items, known)[1][:, None]),
    "waveforms come before labels": lambda items, known: _collated(items, known)[::-1],
    "return two tensors: waveforms and labels": lambda items, known: _collated(items, known)[0],
    "waveforms are float32":
        lambda items, known: (_collated(items, known)[0].double(), _collated(items, known)[1]),
}


@check("1.3", _BATCH_MISTAKES, draws=False)
def collate(answer: Callable) -> None:
    """Items of a corpus become a batch of waveforms and labels, in their order.

    ``answer(items, vocabulary) -> waveforms (batch, 1, 16000), labels (batch,)``
    """
    random = chance(3)
    words = ["bed", "bird", "cat", "dog"]  # nobody says bird: not every batch has every word
    lengths = [16_000, random.randint(9_000, 9_999), 1, random.randint(12_000, 12_999), 17_000]
    said = ["dog", "bed", "dog", "cat", "bed"]
    rates = [8_000, 16_000, 16_000, 44_100, 16_000]
    items = [
        (torch.rand(1, length, generator=generator(length)), rate, word, "3d9200b9", take)
        for take, (length, rate, word) in enumerate(zip(lengths, rates, said, strict=True))
    ]
    # In the second batch the longest clip is too short as well; the last is a batch of one.
    cases = [(items, words), (items[1:4], words[::-1]), (items[1:2], words)]
    otherwise = "fit each clip (exercise 1.1), stack them, and look the words up (exercise 1.2)"
    agree(answer, _collated, cases, _BATCH_MISTAKES, otherwise, 0)
    passed("5 clips of unequal length became (5, 1, 16000) and (5,)")


# 1.10 - Split by speaker


def _split(
    speakers: np.ndarray, share: float, seed: int, count: Callable = round,
    draw: Callable = lambda random, names, n: random.permutation(names)[:n],
) -> np.ndarray:
    names = np.unique(speakers)
    return np.isin(speakers, draw(np.random.default_rng(seed), names, count(share * len(names))))


def _of_clips(speakers: np.ndarray, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(len(speakers)) < share


_SPLIT_MISTAKES: dict[str, Callable] = {
    "clips were drawn; draw speakers, and take all clips of each": _of_clips,
    "take test_share times the number of speakers, not of clips": lambda s, share, seed: _split(
        s, share, seed, lambda n: min(len(set(s)), round(share * len(s)))
    ),
    "round(test_share * number of speakers): int() rounds down":
        lambda s, share, seed: _split(s, share, seed, int),
    "round(test_share * number of speakers): ceil() rounds up":
        lambda s, share, seed: _split(s, share, seed, math.ceil),
    "draw each name once: no replacement": lambda s, share, seed: _split(
        s, share, seed, draw=lambda random, names, n: names[random.integers(0, len(names) // 2, n)]
    ),
    "the seed is not used, or speakers are taken in order":
        lambda s, share, seed: _split(s, share, 0),
    "draw from a generator of your own: np.random.default_rng(seed)":
        lambda s, share, seed: _split(s, share, None),
    "every choice of speakers must be possible, not neighbours in the alphabet only": (
        lambda s, share, seed: _split(
            s, share, seed, draw=lambda random, names, n: np.roll(names, random.integers(50))[:n]
        )
    ),
    "compare whole names: one may be a part of another": lambda s, share, seed: np.array(
        [any(name in speaker for name in set(s[_split(s, share, seed)])) for speaker in s]
    ),
    "the order of a set changes from start to start: sort it, or use np.unique": (
        lambda s, share, seed: np.isin(
            s,
            np.random.default_rng(seed).permutation(list(set(s)))[: round(share * len(set(s)))],
        )
    ),
    "round(test_share * number of speakers) may be 0: nobody is for testing then":
        lambda s, share, seed: _split(s, share, seed, lambda n: max(1, round(n))),
    "True stands for testing, False for training": lambda s, share, seed: ~_split(s, share, seed),
    "np.array(...) makes an array of a list": lambda s, share, seed: [*_split(s, share, seed)],
    "return an array that says for each clip whether it is for testing":
        lambda s, share, seed: (np.nonzero(_split(s, share, seed))[0]),
}
(
    _CLIPS, _SHARE, _ROUND, _CEIL, _ONCE, _FIXED, _OWN, _NEIGHBOURS, _PART, _SET, _NOBODY, _TRUE,
    _ARRAY, _EACH,
) = _SPLIT_MISTAKES  # fmt: skip


@check("1.10", _SPLIT_MISTAKES, draws=False)
def split_by_speaker(answer: Callable) -> None:
    """No speaker is on both sides, and the seed alone decides who is where.

    ``answer(speakers, test_share, seed) -> is_test``, one bool a clip
    """
    random = numpy_generator(3)
    # Shares of 11 and 13 speakers are 2.75 and 3.25: to round is not to cut, in neither direction.
    cases = ((20, 0.25, 5), (6, 1 / 6, 1), (11, 0.25, 3), (13, 0.25, 3), (9, 0.04, 0))
    for count, share, expected in cases:
        names = _names(random, count)
        # Speakers talk for unequal lengths, and their clips are not in one block.
        speakers = random.permutation(np.repeat(names, random.integers(2, 9, size=count)))
        splits = []
        for seed in range(8):
            is_test = call(answer, speakers.copy(), share, seed)
            _check_split(is_test, speakers, share, expected)
            if not np.array_equal(is_test, call(answer, speakers.copy(), share, seed)):
                fail("the same split for the same seed", "another", _OWN)
            splits.append(is_test)
        if expected and all(np.array_equal(splits[0], other) for other in splits):
            fail("other splits for other seeds", "one split for 8 seeds", _FIXED)
        if expected > 2 and all(_adjacent(speakers, is_test) for is_test in splits):
            fail("any speakers for testing", "neighbours in the alphabet, 8 times", _NEIGHBOURS)
        # Python hashes a text differently in each process, and so a set has another order.
        processes = []
        for process in range(2):
            _Name.process = process
            labels = np.array([_Name(speaker) for speaker in speakers], dtype=object)
            processes.append(call(answer, labels, share, 0))
        if not np.array_equal(*processes):
            fail("the same split when Python is started again", "another", _SET)
    passed("no speaker is on both sides, in splits of 6, 11, 13 and 20 speakers")


def _names(random: np.random.Generator, count: int) -> list[str]:
    """Names of different lengths; each second one is a part of the one before it."""
    names = [f"{number:07x}" for number in random.integers(16**6, 16**7, -(-count // 2))]
    return [part for name in names for part in (name, name[1:-1])][:count]


def _adjacent(speakers: np.ndarray, is_test: np.ndarray) -> bool:
    """Whether the speakers for testing are neighbours in the alphabet, or round its end."""
    chosen = np.isin(np.unique(speakers), speakers[is_test])
    return int((chosen != np.roll(chosen, 1)).sum()) <= 2


def _check_split(is_test: object, speakers: np.ndarray, share: float, expected: int) -> None:
    """Fail unless `is_test` takes all clips of so many speakers."""
    if not isinstance(is_test, np.ndarray):
        fail("a NumPy array", type(is_test).__name__, _ARRAY)
    if is_test.shape != speakers.shape or is_test.dtype != bool:
        got = f"{is_test.dtype} of shape {is_test.shape}"
        fail(f"{len(speakers)} booleans, one a clip", got, _EACH)
    count = len(set(speakers))
    shared = set(speakers[is_test]) & set(speakers[~is_test])
    if shared:
        fail("no speaker on both sides", f"{len(shared)} of {count}", _CLIPS)
    tests = len(set(speakers[is_test]))
    if tests != expected:
        chosen = set(speakers[is_test])
        if tests == count - expected:
            cause = _TRUE
        elif not expected and tests == 1:
            cause = _NOBODY
        elif tests == min(count, round(share * len(speakers))):
            cause = _SHARE
        elif tests == int(share * count):
            cause = _ROUND
        elif tests == math.ceil(share * count):
            cause = _CEIL
        elif tests > expected and chosen == {b for b in set(speakers) for a in chosen if a in b}:
            cause = _PART
        elif tests < expected:
            cause = _ONCE
        else:
            cause = "draw round(test_share * len(names)) names, each once, from np.unique(speakers)"
        fail(f"{expected} of {count} speakers for testing (share {share:.3g})", tests, cause)


class _Name(str):
    """A speaker whose hash is different in each `process`, as that of a text is."""

    process = 0

    def __hash__(self) -> int:
        return hash((str(self), _Name.process))
