"""Checks of what stands before a model: lengths, words, batches, splits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from course_utils.checks.core import call, fail, generator, passed, same_dtype, same_shape, short

# 1.1 - Pad or trim to one second


def fit_to_length(answer: Callable) -> None:
    """A clip is padded with zeros at its end, or cut there.

    ``answer(waveform (channel, time), samples) -> (channel, samples)``
    """
    # Sizes are small and all different, so that swapped axes or a fixed 16,000 cannot pass.
    cases = [(1, 7, 12), (1, 12, 7), (2, 5, 9), (3, 9, 5), (1, 6, 6), (1, 0, 4), (1, 1, 16_000)]
    for channels, time, samples in cases:
        clip = torch.rand(channels, time, generator=generator(time)) + 1
        before = clip.clone()
        with _unset_memory_is_nan():
            got = call(answer, clip, samples)
        shape_cause = "keep the channels; pad or cut the last dimension to the length asked for"
        same_shape(got, (channels, samples), shape_cause)
        same_dtype(got, torch.float32, "the zeros that you add must have the waveform's dtype")
        if clip.shape != before.shape or not torch.equal(clip, before):
            fail("the clip unchanged", "a changed clip", "work on a copy, not in place")
        for channel in range(channels):
            clip_values = before[channel].tolist()
            kept = clip_values[:samples]
            expected = kept + [0.0] * (samples - len(kept))
            values = got[channel].tolist()
            if values != expected:
                if any(math.isnan(value) for value in values):
                    cause = "new memory was not set to zero (torch.empty holds anything)"
                elif values == clip_values[-samples:]:
                    cause = "cut the end of the clip, not its start"
                elif values[-len(kept) :] == kept:
                    cause = "the zeros belong at the end, so that the word stays where it was"
                elif values[: len(kept)] == kept:
                    cause = "the clip is to be filled up with zeros, not repeated or mirrored"
                else:
                    cause = f"the first {len(kept)} samples must stay as they are, where they are"
                fail(short(expected), short(values), cause)
    passed(f"clips of {', '.join(str(case[1]) for case in cases)} samples were padded or cut")


@contextmanager
def _unset_memory_is_nan() -> Iterator[None]:
    """While it is open, memory that nobody has set (torch.empty) holds NaN, and never by luck 0."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


# 1.2 - Words to indices and back


def vocabulary(
    make_vocabulary: Callable, words_to_indices: Callable, indices_to_words: Callable
) -> None:
    """The words sorted, each once; words to indices and back; an unknown word is an error.

    ``make_vocabulary(words) -> list``, ``words_to_indices(words, vocabulary) -> (word,)``,
    ``indices_to_words(indices, vocabulary) -> list``
    """
    # Nine words, so that the arbitrary order of a set cannot be the alphabetical one by luck.
    spoken = ["yes", "no", "up", "yes", "down", "left", "no", "stop", "right", "go", "on"]
    expected = ["down", "go", "left", "no", "on", "right", "stop", "up", "yes"]
    for order in (spoken, spoken[::-1], sorted(spoken)):
        got = call(make_vocabulary, list(order))
        if not isinstance(got, list):
            fail("a list", type(got).__name__, "sorted(...) makes a list")
        if got != expected:
            fail(
                expected,
                got,
                "sort the words and keep each once: an order that depends on the data gives "
                "each subset other labels",
            )
    words, positions = ["stop", "yes", "down", "yes"], [6, 8, 0, 8]
    indices = call(words_to_indices, words, expected)
    same_shape(indices, (4,), "one index a word")
    same_dtype(indices, torch.int64, "torch's losses take class indices as int64 (torch.long)")
    if indices.tolist() != positions:
        cause = "an index is the word's position in the vocabulary that was given, from 0"
        fail(positions, indices.tolist(), cause)
    back = call(indices_to_words, torch.tensor(positions), expected)
    if not isinstance(back, list | tuple) or list(back) != words:
        fail(words, back, "each index picks the word at its position; return a list of words")
    try:
        got = words_to_indices(["stop", "banana"], expected)
        cause = "an unknown word must not pass in silence as another word, or as none"
    except (KeyError, ValueError):
        passed(f"{len(expected)} words, there and back; an unknown word is an error")
        return
    except Exception as error:
        got, cause = type(error).__name__, "look whether the word is there before you use its index"
    fail("a KeyError or ValueError for the unknown word 'banana'", got, cause)


# 1.3 - The shapes of a batch


def collate(answer: Callable) -> None:
    """Items of a corpus become a batch of waveforms and labels, in their order.

    ``answer(items, vocabulary) -> waveforms (batch, 1, 16000), labels (batch,)``
    """
    words = ["bed", "bird", "cat", "dog"]  # nobody says bird: not every batch has every word
    lengths = [16_000, 9_000, 1, 12_345, 17_000]
    said = ["dog", "bed", "dog", "cat", "bed"]
    items = [
        (torch.rand(1, length, generator=generator(length)), 16_000, word, "3d9200b9", take)
        for take, (length, word) in enumerate(zip(lengths, said, strict=True))
    ]
    for batch in (items, items[1:4]):  # in the second one the longest clip is too short as well
        result = call(answer, list(batch), words)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(waveforms, labels)", type(result).__name__, "return two tensors")
        waveforms, labels = result
        shape_cause = (
            "fit each clip to 16,000 samples, (1, 16000), and stack them along a new first "
            "dimension; waveforms come before labels"
        )
        same_shape(waveforms, (len(batch), 1, 16_000), shape_cause)
        same_dtype(waveforms, torch.float32, "waveforms are float32")
        same_shape(labels, (len(batch),), "one label a clip, in one dimension")
        same_dtype(labels, torch.int64, "class indices are int64 (torch.long)")
        expected = [words.index(item[2]) for item in batch]
        if labels.tolist() != expected:
            fail(
                expected,
                labels.tolist(),
                "a label is the position of the word (field 2) in the vocabulary that was given, "
                "in the order of the items",
            )
        for row, (clip, *_) in enumerate(batch):
            kept = min(clip.shape[1], 16_000)
            if not torch.equal(waveforms[row, 0, :kept], clip[0, :kept]):
                cause = "keep the order of the items and the samples as they are"
                fail(f"clip {row} in row {row}", "other samples", cause)
            if bool(waveforms[row, 0, kept:].any()):
                fail("zeros after the clip", "something else", "pad with zeros at the end")
    passed("5 clips of unequal length became (5, 1, 16000) and (5,)")


# 1.10 - Split by speaker


def split_by_speaker(answer: Callable) -> None:
    """No speaker is on both sides, and the seed alone decides who is where.

    ``answer(speakers, test_share, seed) -> is_test``, one bool a clip
    """
    random = np.random.default_rng(3)
    # Shares of 11 and 13 speakers are 2.75 and 3.25: to round is not to cut, in neither direction.
    for count, share, expected in ((20, 0.25, 5), (6, 1 / 6, 1), (11, 0.25, 3), (13, 0.25, 3)):
        names = [f"{number:08x}" for number in random.permutation(10_000)[:count]]
        # Speakers talk for unequal lengths, and their clips are not in one block.
        speakers = random.permutation(np.repeat(names, random.integers(1, 9, size=count)))
        splits = []
        for seed in range(8):
            given, state = speakers.copy(), _global_state()
            is_test = call(answer, given, share, seed)
            if not np.array_equal(given, speakers):
                fail("speakers unchanged", "a changed array", "shuffle a copy: np.unique makes one")
            _check_split(is_test, speakers, share, expected)
            if not np.array_equal(is_test, call(answer, given, share, seed)):
                cause = "draw from a generator of your own: np.random.default_rng(seed)"
                fail("the same split for the same seed", "another", cause)
            if not np.array_equal(state, _global_state()):
                cause = "np.random.seed is for the whole program; use np.random.default_rng(seed)"
                fail("NumPy's global generator untouched", "a changed state", cause)
            splits.append(is_test)
        if all(np.array_equal(splits[0], other) for other in splits):
            cause = "the seed is not used, or speakers are taken in order"
            fail("other splits for other seeds", "one split for 8 seeds", cause)
        # Python hashes a text differently in each process, and so a set has another order.
        processes = []
        for process in range(2):
            _Name.process = process
            labels = np.array([_Name(speaker) for speaker in speakers], dtype=object)
            processes.append(call(answer, labels, share, 0))
        if not np.array_equal(*processes):
            cause = "the order of a set changes from start to start: sort it, or use np.unique"
            fail("the same split when Python is started again", "another", cause)
    passed("no speaker is on both sides, in splits of 6, 11, 13 and 20 speakers")


def _check_split(is_test: object, speakers: np.ndarray, share: float, expected: int) -> None:
    """Fail unless `is_test` takes all clips of so many speakers."""
    if not isinstance(is_test, np.ndarray):
        fail("a NumPy array", type(is_test).__name__, "np.array(...) makes one of a list")
    if is_test.shape != speakers.shape or is_test.dtype != bool:
        fail(
            f"{len(speakers)} booleans, one a clip",
            f"{is_test.dtype} of shape {is_test.shape}",
            "return an array that says for each clip whether it is for testing",
        )
    count = len(set(speakers))
    shared = set(speakers[is_test]) & set(speakers[~is_test])
    if shared:
        cause = "clips were drawn; draw speakers, and take all clips of each"
        fail("no speaker on both sides", f"{len(shared)} of {count}", cause)
    tests = len(set(speakers[is_test]))
    if tests != expected:
        if tests == count - expected:
            cause = "True stands for testing, False for training"
        elif tests == round(share * len(speakers)) or tests == count:
            cause = "take test_share times the number of speakers, not of clips"
        else:
            cause = "draw round(test_share * len(names)) names, each once, from np.unique(speakers)"
        fail(f"{expected} of {count} speakers for testing (share {share:.3g})", tests, cause)


def _global_state() -> list:
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    return [*keys, position]


class _Name(str):
    """A speaker whose hash is different in each `process`, as that of a text is."""

    process = 0

    def __hash__(self) -> int:
        return hash((str(self), _Name.process))
