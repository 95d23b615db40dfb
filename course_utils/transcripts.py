"""Transcripts around the exercises: which become tokens, what they hold, which fit their audio."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


def encoded(
    texts: Iterable[str], symbols: str, encode: Callable[[str], list[int]]
) -> list[list[int] | None]:
    """Tokens of each text, or None where a character is unknown; says how many and which.

    Parameters
    ----------
    texts : iterable of str
        Transcripts, normalised.
    symbols : str
        What can be written.
    encode : callable
        A text made of these symbols to its tokens.

    Raises
    ------
    ValueError
        Not one text is made of the symbols alone.

    Examples
    --------
    >>> encoded(["ba", "b2"], "ab", lambda text: [1] * len(text))
    1 of 2 clips are left out: unknown characters {'2': 1}
    [[1, 1], None]
    """
    texts = list(texts)
    unknown = Counter(character for text in texts for character in set(text) - set(symbols))
    tokens = [encode(text) if text and set(text) <= set(symbols) else None for text in texts]
    if None in tokens:
        why = f"unknown characters {dict(unknown)}" if unknown else "nothing to say"
        print(f"{tokens.count(None)} of {len(tokens)} clips are left out: {why}")
    if not any(tokens):
        raise ValueError(f"no text of these {len(tokens)} clips is made of {symbols!r} alone")
    return tokens


def frequencies(counts: Counter[str], most: int = 5, least: int = 4) -> str:
    """The most frequent symbols with their shares, and the rarest with their counts.

    Examples
    --------
    >>> frequencies(Counter("aaab"), 1, 1)
    "most frequent: 'a' 75% - rarest: 'b' 1"
    """
    ranked = counts.most_common()
    often = (f"{symbol!r} {count / counts.total():.0%}" for symbol, count in ranked[:most])
    rare = (f"{symbol!r} {count}" for symbol, count in ranked[-least:])
    return f"most frequent: {', '.join(often)} - rarest: {', '.join(rare)}"


def fitting(items: Sequence[Any], fits: Iterable[bool]) -> list[Any]:
    """Only the items whose text fits into its frames; says how many do not.

    Examples
    --------
    >>> fitting(["a", "b"], [True, False])
    1 of 2 clips have more text than frames, and are left out of training
    ['a']
    """
    fits = [bool(fit) for fit in fits]
    if not all(fits):
        print(f"{fits.count(False)} of {len(fits)} clips have more text than frames, and are left "
              "out of training")  # fmt: skip
    return [item for item, fit in zip(items, fits, strict=True) if fit]


def repeated(pattern: str, texts: Iterable[str]) -> list[str]:
    """Texts as long as the given ones that hold nothing but a pattern, again and again.

    Examples
    --------
    >>> repeated("e ", ["chat"])
    ['e e ']
    """
    return [(pattern * len(text))[: len(text)] for text in texts]


@dataclass
class Heard:
    """What was made of one clip; as text it is the best one.

    Attributes
    ----------
    features : float32 tensor (band, frame)
        What the network was given.
    texts : list of (text, score)
        Different texts, the best one first, with their log scores.
    words : list of (word, start, end)
        Where the words of the best text are, in s.
    """

    features: Tensor
    texts: list[tuple[str, float]]
    words: list[tuple[str, float, float]]

    def __str__(self) -> str:
        return self.texts[0][0] or "(nothing)"


def heard(
    features: Tensor, log_probs: Tensor,
    search: Callable[[Tensor], Sequence[tuple[tuple[int, ...], float]]],
    decode: Callable[[Sequence[int]], str],
    align: Callable[[list[int]], Iterable[tuple[str, float, float, float]]], count: int = 5,
) -> Heard:
    """The best texts of a clip, and where the words of the best one are.

    Parameters
    ----------
    features : float32 tensor (band, frame)
    log_probs : float32 tensor (frame, symbol)
        What the network says; no frames if nobody speaks.
    search : callable
        ``search(log_probs)`` gives texts, as tokens, with their log scores, best first.
    decode : callable
        Tokens to text.
    align : callable
        ``align(tokens)`` gives (letter, start, end, probability), in s.
    count : int
        How many texts are kept.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(1, 2)
    >>> spans = [("a", 0.0, 0.1, 1.0), (" ", 0.1, 0.2, 1.0), ("b", 0.2, 0.4, 1.0)]
    >>> found = heard(x, x, lambda x: [((1, 2), -0.5)], lambda tokens: "a b", lambda tokens: spans)
    >>> found.words, str(found)
    ([('a', 0.0, 0.1), ('b', 0.2, 0.4)], 'a b')
    """
    found = list(search(log_probs))[:count]
    words: list[tuple[str, float, float]] = []
    between = True
    for letter, start, end, _ in align(list(found[0][0])) if found[0][0] else ():
        if letter == " ":
            between = True
        elif between:
            words.append((letter, start, end))
            between = False
        else:
            words[-1] = (words[-1][0] + letter, words[-1][1], end)
    return Heard(features, [(decode(tokens), float(score)) for tokens, score in found], words)


def by_torchaudio(
    clips: Iterable[Tensor], symbols: str, width: int = 50
) -> Iterator[str]:
    """What torchaudio's beam search writes for each clip, with its paths summed.

    It needs the package flashlight-text. Where that is not there, this says so, and there is no
    text.

    Parameters
    ----------
    clips : iterable of float32 tensors (frame, symbol)
        Log probabilities; symbol 0 is the blank, symbol 1 the first of `symbols`.
    symbols : str
    width : int
        How many texts are kept.
    """
    try:
        from torchaudio.models.decoder import ctc_decoder

        names = ["-", *symbols]
        search = ctc_decoder(
            None, names, beam_size=width, blank_token="-", sil_token=" ", log_add=True
        )
    except (ImportError, RuntimeError) as error:  # torchaudio says it either way
        print(f"Not here: {str(error).splitlines()[0]}")
        return
    for clip in clips:
        tokens = search(clip[None])[0][0].tokens.tolist()
        yield "".join(names[token] for token in tokens if token).strip()


def merges_by_library(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The first merges that the package tokenizers learns from these texts.

    Where it is not there, this says so, and there are none.

    Parameters
    ----------
    texts : iterable of str
    count : int
        How many merges.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        print(f"Not here: {error}")
        return []
    texts = list(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # a space before each word, written so
    letters = {"▁", *"".join(texts)} - {" "}
    size = len(letters) + count
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(piece.replace("▁", " ") for piece in pair) for pair in merges]
