"""Checks of text: normalising, characters and indices, error rates."""

from __future__ import annotations

import functools
import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from course_utils.checks.core import CheckFailed, attempt, call, close, equal, fail, method, passed

# 4.1 - Text to tokens


_TABLE = {
    "œ": "oe",
    "ç": "c",
    "é": "e",
    "è": "e",
    "’": "'",
    "-": " ",
    "—": "",
    "!": "",
    ".": "",
    "…": "...",
}


#: Worked by hand: text, table, result.
_NORMALISED = [
    ("Ça va — BIEN !", _TABLE, "ca va bien"),
    ("  Arc-en-ciel\t\nici - ", _TABLE, "arc en ciel ici"),
    ("Sœur, ŒUVRE, l’Été", _TABLE, "soeur, oeuvre, l'ete"),
    ("E\u0301le\u0300ve, C\u0327a", _TABLE, "eleve, ca"),  # two code points for one letter
    ("ñ Straße 7% m²", _TABLE, "ñ straße 7% m²"),
    ("n\u0303a", {}, "ña"),
    ("Oh… non.", _TABLE, "oh... non"),
    ("abba", {"a": "b", "b": "a"}, "baab"),
    ("! — .", _TABLE, ""),
    ("", _TABLE, ""),
]


def char_map(normalise: Callable, mapping: Callable) -> None:
    """Texts worked by hand; encode and decode undo each other.

    ``normalise(text, table) -> str`` and ``CharMap(symbols)``: ``len``, encode, decode
    """
    for text, table, expected in _NORMALISED:
        given = dict(table)
        got = call(normalise, text, given)
        if given != table:
            fail("the table as it was", "a changed one", "only read the table: table.get(...)")
        if not isinstance(got, str):
            fail("a text", type(got).__name__, 'put the characters together: "".join(...)')
        cause = "NFC, lower case, each character by the table, then single spaces: in this order"
        equal(got, expected, _normal_mistakes(text, table), cause, repr(text))
    _encodes(mapping)
    passed("accents of both kinds, spaces and unknown letters; encode and decode undo each other")


def _one_by_one(text: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        text = text.replace(old, new)
    return text


def _normal_mistakes(text: str, table: dict[str, str]) -> dict[str, str]:
    """Causes, and the texts to which they lead."""

    def each(text: str) -> str:
        return "".join(table.get(character, character) for character in text)

    def spaces(text: str) -> str:
        return " ".join(text.split())

    def form(name: str) -> Callable[[str], str]:
        return functools.partial(unicodedata.normalize, name)

    def run(*steps: Callable[[str], str]) -> str:
        return functools.reduce(lambda value, step: step(value), steps, text)

    nfc, lower = form("NFC"), str.lower
    blanks = functools.partial(re.sub, r"\s+", " ")
    known = set(table) | set(table.values()) | set("abcdefghijklmnopqrstuvwxyz ")
    return {
        'unicodedata.normalize("NFC", text) comes first: é can be two characters': run(
            lower, each, spaces
        ),
        'unicodedata.normalize("NFC", text) comes before the table': run(lower, each, nfc, spaces),
        "NFC, not NFD: put letter and accent together": run(form("NFD"), lower, each, spaces),
        "NFC, not NFKC: what is not in the table stays": run(form("NFKC"), lower, each, spaces),
        "NFC, not NFKD": run(form("NFKD"), lower, each, spaces),
        "lower case is missing": run(nfc, each, spaces),
        "lower case comes before the table: its keys are small letters": run(
            nfc, each, lower, spaces
        ),
        "text.lower(), not casefold()": run(nfc, str.casefold, each, spaces),
        "single spaces come last: the table leaves new ones": run(nfc, lower, spaces, each),
        "strip() comes last: the table leaves new spaces": run(nfc, lower, str.strip, each),
        "no space at the ends": run(nfc, lower, each, blanks),
        "strip() after the table, too": run(nfc, lower, str.strip, each, blanks),
        "several spaces become one": run(nfc, lower, each, str.strip),
        "tabs and line ends are white space, too: split()": run(
            nfc, lower, each, lambda text: " ".join(filter(None, text.split(" ")))
        ),
        "white space becomes one space, not none": run(
            nfc, lower, each, lambda text: "".join(text.split())
        ),
        "each character once: a replace() changes what the one before has put there": run(
            nfc, lower, lambda text: _one_by_one(text, table), spaces
        ),
        "the table is not used": run(nfc, lower, spaces),
        "characters that are not in the table stay": run(
            nfc, lower, lambda text: "".join(table.get(letter, "") for letter in text), spaces
        ),
        "what is no letter of a to z may stay, too: only the table decides": run(
            nfc,
            lower,
            each,
            lambda text: "".join(letter for letter in text if letter in known),
            spaces,
        ),
    }


def _encodes(mapping: Callable) -> None:
    symbols = " zaébœ'"  # in no order that a sorted list or a set would have
    charmap = call(mapping, symbols)
    call(mapping, "xyz")  # another one, which must not change the first
    size = attempt(len, charmap)
    if size != 8:
        cause = "__len__ counts the symbols, and the blank"
        if size == 4:
            cause = "each map has its own symbols: self.symbols, not an attribute of the class"
        fail("len 8 for 7 symbols and the blank", size, cause)
    for text in ("a zébœ'", "bab", ""):
        got = call(method(charmap, "encode"), text)
        if not isinstance(got, list):
            fail("a list", type(got).__name__, "encode returns a list of int")
        if not all(type(token) is int for token in got):
            kinds = sorted({type(token).__name__ for token in got})
            fail("a list of int", f"a list of {', '.join(kinds)}", "one index for each character")
        places = [symbols.index(letter) for letter in text]
        known = {
            "token 0 is the blank: symbols[0] is token 1": places,
            "symbols keep the order in which they are given": [
                sorted(symbols).index(letter) + 1 for letter in text
            ],
            "tokens follow symbols, not the code points": [ord(letter) for letter in text],
            "repeated letters stay: nothing is collapsed here": [
                place + 1
                for at, place in enumerate(places)
                if at == 0 or text[at - 1] != symbols[place]
            ],
            "the space is a symbol like others": [place + 1 for place in places if place],
        }
        expected = [place + 1 for place in places]
        equal(got, expected, known, "symbols[0] is token 1, and so on", repr(text))
        tokens = list(got)
        back = call(method(charmap, "decode"), tokens)
        if tokens != got:
            fail("tokens as they were", "changed ones", "make a new text: leave the list alone")
        equal(back, text, {}, 'decode undoes encode: a text, "".join(...)', f"decode({expected})")
    for text, unknown in (("b€aßþ€ß", "ßþ€"), ("A", "")):
        _refuses(charmap, text, unknown)
    for tokens in ([0], [3, 0, 3], [5, 1, 0]):
        try:
            got = repr(attempt(charmap.decode, tokens))
            cause = "0 is the blank, no symbol: raise ValueError('blank in tokens: collapse first')"
        except CheckFailed as error:
            if isinstance(error.__cause__, ValueError):
                continue
            got = type(error.__cause__).__name__
            cause = "raise ValueError(...), so that a reader sees what is wrong with the tokens"
        fail(f"a ValueError of decode({tokens})", got, cause)


def _refuses(charmap: object, text: str, unknown: str) -> None:
    """Fail unless unknown characters raise a ValueError that names each of them."""
    try:
        got = attempt(charmap.encode, text)
    except CheckFailed as error:
        raised = error.__cause__
        if not isinstance(raised, ValueError):
            if raised is None:
                raise
            cause = "look for unknown characters first, and raise ValueError with all of them"
            fail(f"a ValueError of encode({text!r})", type(raised).__name__, cause)
    else:
        cause = "unknown characters are never dropped: raise ValueError and name them"
        if isinstance(got, list):
            cause = {
                0: "an unknown character is no blank: raise ValueError and name it",
                -1: "str.find says -1 for what it does not find: raise ValueError and name it",
                None: "dict.get says None for what it does not find: raise ValueError and name it",
            }.get(next((token for token in got if token in (0, -1, None)), 1), cause)
        if got == [4] or text == "A":
            cause = "encode does not normalise: A is unknown here, and raises ValueError"
        fail(f"a ValueError of encode({text!r})", repr(got), cause)
        return
    message = str(raised)
    if not unknown:  # letters that the words of a message may have, too
        return
    named = [character for character in message if character in unknown]
    if set(named) != set(unknown):
        missing = [character for character in unknown if character not in message]
        cause = "name all of them, not only the first: sorted(set(text) - set(symbols))"
        fail(f"an error that names {list(unknown)}", f"one without {missing}: {message!r}", cause)
    if named != sorted(unknown) and not (text in message and named[-len(unknown) :] == [*unknown]):
        cause = "each unknown character once, sorted: sorted(set(text) - set(symbols))"
        fail(f"an error that names {list(unknown)}", f"{message!r}", cause)


# 4.12 - Edit distance and error rates


class _Symbol:
    """Compares as its name does, and counts how often it is asked."""

    asked = 0
    limit = 0

    def __init__(self, name: int):
        self.name = name

    def __eq__(self, other: object) -> bool:
        _Symbol.asked += 1
        if _Symbol.asked > _Symbol.limit:
            cause = (
                "a recursion that solves the same part again and again: keep the results in a table"
            )
            fail("at most a few comparisons for each pair", f"more than {_Symbol.limit:,}", cause)
        return isinstance(other, _Symbol) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def edit_distance(answer: Callable, rate: Callable) -> None:
    """The fewest errors of each pair, and rates over all of them.

    ``answer(reference, hypothesis) -> (substitutions, insertions, deletions)``, and rates
    """
    chance = random.Random(12)
    pairs: list[tuple[Sequence, Sequence]] = [
        ("", ""),
        ("", "abc"),
        ("abcd", ""),
        ("chat", "chats"),
        ("chats", "chat"),
        ("chat", "chut"),
        ("kitten", "sitting"),
        ("abcdef", "bcdef"),
        ("abcdef", "bcdefg"),
        ("ab", "ba"),
        ("aab", "ab"),
        ("the cat sat".split(), "the cut sat down".split()),
        ("eau haut".split(), "haut".split()),
        ("anna sees otto".split(), []),
    ]
    for n, m in ((7, 5), (4, 8), (6, 6), (8, 7), (3, 7), (7, 2)):
        pairs.append(tuple("".join(chance.choices("abc", k=size)) for size in (n, m)))
    for reference, hypothesis in pairs:
        given = list(reference), list(hypothesis)
        got = call(answer, reference, hypothesis)
        if (list(reference), list(hypothesis)) != given:
            fail("sequences as they were", "changed ones", "read them, do not change them")
        _right_errors(got, reference, hypothesis)
    # A sentence of some length: as many steps as there are pairs of symbols.
    reference, hypothesis = (
        [_Symbol(name) for name in chance.choices(range(5), k=size)] for size in (38, 43)
    )
    _Symbol.asked, _Symbol.limit = 0, 10 * 38 * 43
    got = call(answer, reference, hypothesis)
    names = [[symbol.name for symbol in sequence] for sequence in (reference, hypothesis)]
    total = _distance(*names)
    if not (isinstance(got, tuple) and sum(got) == total and got[1] - got[2] == 5):
        fail(f"{total} errors", got, "as before, for 38 symbols against 43")
    _error_rates(rate)
    passed(f"the fewest errors of {len(pairs) + 1} pairs, and rates over all characters and words")


def _splits(reference: Sequence, hypothesis: Sequence) -> set[tuple[int, int, int]]:
    """The oracle: every (substitutions, insertions, deletions) with the smallest sum."""

    @functools.cache
    def splits(i: int, j: int) -> frozenset[tuple[int, int, int]]:
        if i == 0 or j == 0:
            return frozenset([(0, j, i)])
        wrong = reference[i - 1] != hypothesis[j - 1]
        ways = {(s + wrong, n, d) for s, n, d in splits(i - 1, j - 1)}
        ways |= {(s, n + 1, d) for s, n, d in splits(i, j - 1)}
        ways |= {(s, n, d + 1) for s, n, d in splits(i - 1, j)}
        fewest = min(map(sum, ways))
        return frozenset(way for way in ways if sum(way) == fewest)

    return set(splits(len(reference), len(hypothesis)))


def _distance(
    reference: Sequence,
    hypothesis: Sequence,
    substitution: float = 1,
    first: tuple[int, int] = (1, 1),
    swaps: bool = False,
) -> float:
    """The fewest errors, and what may be wrong in that."""
    n, m = len(reference), len(hypothesis)
    table = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 or j == 0:
                table[i][j] = j * first[0] if i == 0 else i * first[1]
                continue
            wrong = reference[i - 1] != hypothesis[j - 1]
            table[i][j] = min(
                table[i - 1][j - 1] + substitution * wrong, table[i][j - 1] + 1, table[i - 1][j] + 1
            )
            if swaps and i > 1 and j > 1:
                crossed = reference[i - 2 : i] == hypothesis[j - 2 : j][::-1]
                if crossed:
                    table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[n][m]


def _right_errors(got: object, reference: Sequence, hypothesis: Sequence) -> None:
    """Fail unless `got` are the numbers of a shortest way from reference to hypothesis."""
    right = _splits(reference, hypothesis)
    total = sum(min(right))
    case = f"{reference!r} and {hypothesis!r}"
    if isinstance(got, int | float):
        cause = "return three numbers: (substitutions, insertions, deletions)"
        fail("(substitutions, insertions, deletions)", got, cause)
    if not isinstance(got, tuple) or len(got) != 3:
        fail("a tuple of three numbers", repr(got), "(substitutions, insertions, deletions)")
    if not all(isinstance(number, int) for number in got):
        kinds = ", ".join(type(number).__name__ for number in got)
        fail("three ints", kinds, "errors are counted: all three are int")
    if got in right:
        return
    n, m = len(reference), len(hypothesis)
    substitutions, insertions, deletions = got
    words = not isinstance(reference, str)
    place_by_place = sum(a != b for a, b in zip(reference, hypothesis, strict=False))
    missing, more = (
        sum((Counter(first) - Counter(second)).values())
        for first, second in ((reference, hypothesis), (hypothesis, reference))
    )
    distance = functools.partial(_distance, reference, hypothesis)
    totals = {
        "a substitution is one error, not an insertion and a deletion": distance(substitution=2),
        "symbols may move: try all alignments, do not compare place by place": (
            place_by_place + abs(n - m)
        ),
        "two swapped symbols are two errors": distance(swaps=True),
        "the order counts: sets and counts of symbols do not know it": max(missing, more),
        "the first row holds 0, 1, 2, ...: with no reference all is inserted": distance(
            first=(0, 1)
        ),
        "the first column holds 0, 1, 2, ...: with no hypothesis all is deleted": distance(
            first=(1, 0)
        ),
        "first row and first column hold 0, 1, 2, ...": distance(first=(0, 0)),
    }
    if words:
        cause = "of a list of words, compare the words, not the letters"
        for space in ("", " "):
            totals[cause + space] = _distance(space.join(reference), space.join(hypothesis))
    cause = "the smallest of three ways into each cell of the table"
    if sum(got) != total:
        cause = next((why.strip() for why, value in totals.items() if value == sum(got)), cause)
    if (substitutions, deletions, insertions) in right:
        cause = (
            "an insertion is a symbol that only the hypothesis has: insertions and deletions "
            "are swapped"
        )
    elif any(sorted(got) == sorted(way) for way in right):
        cause = "the order is (substitutions, insertions, deletions)"
    elif sum(got) == total:
        cause = "as many errors as there should be, but no way has them in these kinds"
        if insertions - deletions != m - n:
            cause = "insertions - deletions is what the hypothesis is longer: follow the way back"
    elif sum(got) > total and cause.startswith("the smallest"):
        cause = "there is a shorter way: the smallest of the three ways into each cell"
    named = " or ".join(map(str, sorted(right)[:3]))
    fail(f"{named} for {case}", got, cause)


def _error_rates(rate: Callable) -> None:
    references = ["abcd ef", "ab", "la vie est belle", "oui"]
    hypotheses = ["abcd ef", "xyb", "la vi belle", ""]
    long = ["un", "a b"], ["un deux trois", "a b c d e"]  # more errors than symbols
    for given, words in (
        ((references, hypotheses), False),
        ((references, hypotheses), True),
        ((references[:1], references[:1]), False),
        (long, True),
        (long, False),
    ):
        before = [list(texts) for texts in given]
        got = call(rate, *given, words=True) if words else call(rate, *given)
        if [list(texts) for texts in given] != before:
            fail("lists as they were", "changed ones", "read them, do not change them")
        split = str.split if words else str
        pairs = [(split(r), split(h)) for r, h in zip(*given, strict=True)]
        errors = [int(_distance(*pair)) for pair in pairs]
        expected = sum(errors) / sum(len(reference) for reference, _ in pairs)
        if isinstance(got, bool) or not isinstance(got, int | float):
            fail("a number", type(got).__name__, "errors / length: a float")
        letters = [(r.replace(" ", ""), h.replace(" ", "")) for r, h in zip(*given, strict=True)]
        known = {
            "all errors / all lengths, not the mean of the rates": sum(
                wrong / len(pair[0]) for wrong, pair in zip(errors, pairs, strict=True)
            )
            / len(pairs),
            "divide by the length of the references, not of the hypotheses": sum(errors)
            / max(1, sum(len(hypothesis) for _, hypothesis in pairs)),
            "divide by the length of the references, not of the longer of both": sum(errors)
            / sum(max(map(len, pair)) for pair in pairs),
            "divide by the symbols of all references, not by the sentences": sum(errors)
            / len(pairs),
            "this is the number of errors: divide by the length": float(sum(errors)),
            "an error rate can be above 1: do not cut it": min(1.0, expected),
            "errors, not what is right": 1 - expected,
            "a share, not per cent": 100 * expected,
            "spaces are characters, too": sum(_distance(*pair) for pair in letters)
            / sum(len(reference) for reference, _ in letters),
            "words=True compares words: split() both": _rate_of(given, str, str),
            "words=False compares characters: do not split": _rate_of(given, str.split, str.split),
            "the length is counted in words where the errors are": _rate_of(given, str.split, str),
            "errors and length are counted in the same unit": _rate_of(given, str, str.split),
            "whole sentences are no symbols": sum(r != h for r, h in zip(*given, strict=True))
            / len(pairs),
        }
        cause = "sum of all errors / sum of the lengths of all references"
        cause = next(
            (why for why, value in known.items() if math.isclose(value, got, rel_tol=1e-6)), cause
        )
        unit = "words" if words else "characters"
        close(got, expected, cause, 1e-6, f"an error rate in {unit}")


def _rate_of(given: tuple, errors_in: Callable, length_in: Callable) -> float:
    errors = sum(_distance(errors_in(r), errors_in(h)) for r, h in zip(*given, strict=True))
    return errors / sum(len(length_in(reference)) for reference in given[0])
