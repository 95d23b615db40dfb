"""Checks of text: normalising, characters and indices."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable
from numbers import Integral
from typing import Any

import torch

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, fail, method, passed

# 4.1 - Text to tokens


_TABLE = {"œ": "oe", "ç": "c", "é": "e", "è": "e", "’": "'", "-": " ", "—": "", "!": "", ".": ""}
_TABLE |= {"…": "...", "\u00a0": " "}

#: Texts without accents, or signs that Unicode holds twice; and with them.
_PLAIN = ["Va — BIEN !", "  Arc-en-ciel\t\nici - ", "Sœur, ŒUVRE, l’ami", "7% -   -", "! — .", ""]
_SPECIAL = ["E\u0301le\u0300ve, C\u0327a", "n\u0303 ñ Straße 7% m²", "Oh… non."]
_LETTERS = [*"abcdeABCDE", *"7%'-—!œŒ’", " ", "  ", "\t", "\n "]
_ACCENTS = [*"éÉèçñÑß²…\u00a0", "e\u0301", "E\u0301", "n\u0303", "C\u0327"]

_STEPS: dict[str, Callable] = {
    **{
        form: lambda text, table, form=form: unicodedata.normalize(form, text)
        for form in ("NFC", "NFD", "NFKC", "NFKD")},
    "lower": lambda text, table: text.lower(),
    "casefold": lambda text, table: text.casefold(),
    "bare": lambda text, table: "".join(c for c in text if not unicodedata.combining(c)),
    "each": lambda text, table: "".join(table.get(c, c) for c in text),
    "known": lambda text, table: "".join(table.get(c, "") for c in text),
    "az": lambda text, table: "".join(
        c for c in text if c in table or c.isspace() or (c.isascii() and c.isalpha())),
    "swap": lambda text, table: functools.reduce(
        lambda value, pair: value.replace(*pair), table.items(), text),
    "split": lambda text, table: " ".join(text.split()),
    "split_blank": lambda text, table: " ".join(filter(None, text.split(" "))),
    "glue": lambda text, table: "".join(text.split()),
    "strip": lambda text, table: text.strip(),
    "runs": lambda text, table: re.sub(r"\s+", " ", text),
    "halve": lambda text, table: text.replace("  ", " "),
    "list": lambda text, table: list(text),
}


def _chain(names: str) -> Callable[[str, dict[str, str]], Any]:
    """A way to normalise: these steps, one after the other."""

    def normalise(text: str, table: dict[str, str]) -> Any:
        return functools.reduce(lambda value, name: _STEPS[name](value, table), names.split(), text)

    return normalise


def _normalised(text: str, table: dict[str, str]) -> str:
    """The oracle: letter by letter, with regular expressions."""
    text = unicodedata.normalize("NFC", text).lower()
    text = re.sub(".", lambda found: table.get(found[0], found[0]), text, flags=re.DOTALL)
    return re.sub(r"^\s+|\s+$", "", re.sub(r"\s+", " ", text))


_JOIN = 'put the characters together: "".join(...)'
_STEPS_OF_MISTAKES = {
    _JOIN: "NFC lower each list",
    "NFC, lower case and the table are missing": "split",
    "the table is not used": "NFC lower split",
    "lower case is missing": "NFC each split",
    "lower case comes before the table: its keys are small letters": "NFC each lower split",
    "lower case before the table alone: a value of the table stays": "NFC lower each lower split",
    "single spaces come last: the table leaves new ones": "NFC lower split each",
    "strip() comes last: the table leaves new spaces": "NFC lower strip each",
    "strip() after the table, too": "NFC lower strip each runs",
    "no space at the ends": "NFC lower each runs",
    "several spaces become one": "NFC lower each strip",
    "several spaces become one: a single replace leaves 2 of 3": "NFC lower each strip halve",
    "tabs and line ends are white space, too: split()": "NFC lower each split_blank",
    "white space becomes one space, not none": "NFC lower each glue",
    "each character once: replace() changes what another has put there": "NFC lower swap split",
    "characters that are not in the table stay": "NFC lower known split",
    "what is no letter of a to z may stay, too: only the table decides": "NFC lower az each split",
    'unicodedata.normalize("NFC", text) comes first: é can be two characters': "lower each split",
    'unicodedata.normalize("NFC", text) comes before the table': "lower each NFC split",
    "NFC, not NFD: put letter and accent together": "NFD lower each split",
    "accents go by the table alone: ñ stays if it is not there": "NFD lower bare each split",
    "NFC, not NFKC: what is not in the table stays": "NFKC lower each split",
    "NFC, not NFKD": "NFKD lower each split",
    "text.lower(), not casefold()": "NFC casefold each split",
}
NORMALISE_MISTAKES = {cause: _chain(steps) for cause, steps in _STEPS_OF_MISTAKES.items()}


class _CharMap:
    """The oracle: looks for a character's place each time."""

    def __init__(self, symbols: str):
        self.symbols = symbols

    def __len__(self) -> int:
        return 1 + len(self.symbols)

    def encode(self, text: str) -> list[int]:
        if unknown := sorted(set(text) - set(self.symbols)):
            raise ValueError(f"unknown: {unknown}")
        return [1 + self.symbols.index(character) for character in text]

    def decode(self, tokens: list[int]) -> str:
        if 0 in tokens:
            raise ValueError("a blank")
        return "".join(self.symbols[token - 1] for token in tokens)


def _changed(**methods: Callable) -> type:
    return type("CharMap", (_CharMap,), methods)


def _instead(of: Callable[[int, str], list]) -> type:
    """A map that says ``of(token, character)`` of each character, with token 0 of unknown ones."""
    return _changed(
        encode=lambda self, text: [token for c in text for token in of(self.symbols.find(c) + 1, c)]
    )


def _raising(of: Callable[[list], Any]) -> type:
    """A map whose error names what `of` makes of the unknown characters of a text."""

    def encode(self: _CharMap, text: str) -> list[int]:
        if unknown := [c for c in text if c not in self.symbols]:
            raise ValueError(of(unknown))
        return _CharMap.encode(self, text)

    return _changed(encode=encode)


def _once(letters: Any) -> Any:
    return [letter for letter, _ in itertools.groupby(letters)]


_DROPPED = "unknown characters are never dropped: raise ValueError and name them"
_ALL = "name all of them, not only the first: sorted(set(text) - set(symbols))"
_SORTED = "each unknown character once, sorted: sorted(set(text) - set(symbols))"
_BLANK = "0 is the blank, no symbol: raise ValueError('blank in tokens: collapse first')"
_LIST = "encode returns a list of int"
CHARMAP_MISTAKES: dict[str, type] = {
    "__len__ counts the symbols, and the blank": _changed(__len__=lambda self: len(self.symbols)),
    "each map has its own symbols: self.symbols, not an attribute of the class": _changed(
        __init__=lambda self, symbols: setattr(type(self), "symbols", symbols)),
    "the symbols are an argument: they need not be those of the notebook": _changed(
        __init__=lambda self, symbols: setattr(self, "symbols", " 'abcdefghijklmnopqrstuvwxyz")),
    "symbols keep the order in which they are given": _changed(
        __init__=lambda self, symbols: setattr(self, "symbols", sorted(symbols))),
    "token 0 is the blank: symbols[0] is token 1": _instead(lambda token, c: [token - 1]),
    "tokens follow symbols, not the code points": _instead(lambda token, c: [ord(c)]),
    "repeated letters stay: nothing is collapsed here": _changed(
        encode=lambda self, text: _CharMap.encode(self, _once(text))),
    "repeated tokens are repeated letters: decode collapses nothing": _changed(
        decode=lambda self, tokens: _CharMap.decode(self, _once(tokens))),
    "the space is a symbol like others": _instead(lambda token, c: [token] if c != " " else []),
    "the text stays as it is: encode takes no space off its ends": _changed(
        encode=lambda self, text: _CharMap.encode(self, text.strip())),
    _LIST: _changed(encode=lambda self, text: torch.tensor(_CharMap.encode(self, text))),
    _JOIN: _changed(decode=lambda self, tokens: list(_CharMap.decode(self, tokens))),
    "decode undoes encode: token 1 is symbols[0]": _changed(
        decode=lambda self, tokens: "".join(self.symbols[token - 2] for token in tokens)),
    "an unknown character is no blank: raise ValueError and name it": _instead(
        lambda token, c: [token]),
    "dict.get says None for what it does not find: raise ValueError and name it": _instead(
        lambda token, c: [token or None]),
    "str.find says -1 for what it does not find: raise ValueError and name it": _instead(
        lambda token, c: [token or -1]),
    _DROPPED: _instead(lambda token, c: [token] if token else []),
    "encode does not normalise: A is unknown here, and raises ValueError": _changed(
        encode=lambda self, text: _CharMap.encode(self, text.lower())),
    "look for unknown characters first, and raise ValueError with all of them": _instead(
        lambda token, c: [token or {}[c]]),
    _ALL: _raising(lambda unknown: unknown[0]),
    _SORTED: _raising(lambda unknown: unknown),
    _BLANK: _changed(decode=lambda self, tokens: "".join(self.symbols[t - 1] for t in tokens)),
    "a blank is not left out in silence: raise ValueError": _changed(
        decode=lambda self, tokens: _CharMap.decode(self, list(filter(None, tokens)))),
    "raise ValueError(...), so that a reader sees what is wrong with the tokens": _changed(
        decode=lambda self, tokens: "".join(
            dict(enumerate(self.symbols, start=1))[token] for token in tokens)),
}


@check("4.1", [NORMALISE_MISTAKES, CHARMAP_MISTAKES], (_normalised, _CharMap), draws=False)
def char_map(normalise: Callable, mapping: Callable) -> None:
    """Texts worked by hand, and drawn ones; encode and decode undo each other.

    ``normalise(text, table) -> str`` and ``CharMap(symbols)``: ``len``, encode, decode
    """
    draw = chance(1)
    otherwise = "NFC, lower case, each character by the table, then single spaces: in this order"
    cases = [("abba", {"a": "b", "b": "a"})]
    for known, letters in ((_PLAIN, _LETTERS), (_SPECIAL, [*_LETTERS, *_ACCENTS])):
        cases += [(text, _TABLE) for text in known]
        for _ in range(12):
            keys, values = draw.sample("abcde7", 3), draw.sample(["", " ", "B", "a b", "c", "d"], 3)
            table = _TABLE | dict(zip(keys, values, strict=True))
            cases.append(("".join(draw.choices(letters, k=draw.randint(4, 15))), table))
        agree(_of_kind(normalise, str), _normalised, cases, NORMALISE_MISTAKES, otherwise)
    _maps(mapping)
    passed("accents of both kinds, spaces and unknown letters; encode and decode undo each other")


def _of_kind(answer: Callable, kind: type) -> Callable:
    """The answer, but another kind of result is a failed check."""

    @functools.wraps(answer)
    def asked(*given: Any) -> Any:
        got = answer(*given)
        if not (got is None or isinstance(got, kind)):
            expected, cause = ("a text", _JOIN) if kind is str else ("a list", _LIST)
            fail(expected, type(got).__name__, cause)
        for token in got if isinstance(got, list | tuple) else ():
            if not (token is None or isinstance(token, Integral)):
                fail("a list of int", f"a list of {type(token).__name__}", _LIST)
        return got

    return asked


class _Said(str):
    """What a message says without quotes."""

    __repr__ = str.__str__


def _ask(mapping: Callable, name: str) -> Callable:
    """A method of a map, as a function of the map's symbols and of what the method is given."""

    def asked(symbols: str, *given: Any) -> Any:
        charmap = mapping(symbols)
        mapping("xyz")  # another one, which must not change the first
        ask = method(charmap, name)
        for _ in given:  # an earlier call, which must not change the next
            ask(symbols[:2] if name == "encode" else [1, 2])
        return ask(*given)

    asked.__name__ = name
    return _of_kind(asked, {"__len__": int, "encode": (list, tuple), "decode": str}[name])


def _refuse(mapping: Callable, name: str) -> Callable:
    """What a method refuses with: a ValueError that names each unknown character."""

    def asked(symbols: str, given: Any) -> _Said:
        try:
            got = _ask(mapping, name)(symbols, given)
        except ValueError as error:
            unknown = sorted((set(given) - set(symbols)) & set(_STRANGE))
            found = [letter for letter in str(error).replace(str(given), "") if letter in unknown]
            if found != unknown:
                cause = _SORTED if set(found) == set(unknown) else _ALL
                fail(f"an error that names {unknown} of {given!r}", repr(str(error)), cause)
            return _Said("a ValueError")
        except (LookupError, TypeError, AssertionError) as error:
            return _Said(type(error).__name__)
        return _Said(repr(got))

    asked.__name__ = name
    return asked


_STRANGE = "ßþ€ñøπλж§µ"  # letters that stand in no word of a message


def _maps(mapping: Callable) -> None:
    draw = chance(2)
    maps = [" zaébœ'", *("".join(draw.sample(" 'zyxcbaédk", draw.randint(6, 8))) for _ in range(3))]
    sizes, texts, tokens, unknown, blanks = [], [("zaé b", "")], [("zaé b", [])], [], []
    for symbols in maps:
        sizes.append((symbols,))
        for _ in range(3):
            letters = draw.choices(symbols, k=draw.randint(2, 6))
            at = draw.randrange(len(letters))
            letters.insert(at, letters[at])
            text = "".join(letters) + symbols[0]
            texts.append((symbols, f"  {text} {text} " if " " in symbols else text))
            tokens.append((symbols, [1 + symbols.index(letter) for letter in text]))
            blanks.append((symbols, [*tokens[-1][1][:at], 0, *tokens[-1][1][at:]]))
            strange = draw.sample(_STRANGE, 3)
            mixed = [*letters, *strange, strange[0]]
            draw.shuffle(mixed)
            unknown.append((symbols, "".join(mixed)))
    unknown += [(maps[0], "bA"), (maps[0], "A"), (maps[0], "b\u00e9e\u0301")]
    blanks += [(maps[0], [0]), (maps[0], [0, 2, 2])]
    for way, name, cases, otherwise in (
        (_ask, "__len__", sizes, "__len__ counts the symbols, and the blank"),
        (_ask, "encode", texts, "symbols[0] is token 1, and so on"),
        (_ask, "decode", tokens, 'decode undoes encode: a text, "".join(...)'),
        (_refuse, "encode", unknown, _DROPPED),
        (_refuse, "decode", blanks, _BLANK),
    ):
        mistakes = {cause: way(mistake, name) for cause, mistake in CHARMAP_MISTAKES.items()}
        agree(way(mapping, name), way(_CharMap, name), cases, mistakes, otherwise)
