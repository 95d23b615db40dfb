"""Sentences to be read aloud, from the small grammars of ``grammars.json``.

A grammar is a table of rules. ``"who": "le chat|la fille"`` says that ``{who}`` becomes one of
two texts; a text may hold further names in braces. Words that must agree stand under names of
their own (``clothes_m`` with ``colour_m``), so that every sentence is correct, and verbs are
paired with what one does to things, so that every sentence makes sense.

A name that stands more often in a rule is drawn more often. A French verb in -er has one form for
je, il, elle and on, so that they can stand for any person.

To add words, add them to a rule; to add a language, add a grammar. Either changes the corpus.

``new_words.json`` holds other words for the same rules: none of them stands in the grammar, and
every sentence that is written with them has at least one.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

#: The grammar of each language that the embedded corpus speaks.
GRAMMARS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("grammars.json").read_text(encoding="utf-8")
)
#: Rules with words that the grammar does not have, of the languages that have a test of them.
NEW_WORDS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("new_words.json").read_text(encoding="utf-8")
)

# je aime -> j'aime. Only these words meet a vowel that varies; "l'école" stands in the grammar.
_ELISION = re.compile(r"\b(j|n|qu)e (?=[aeiouyàâéèêëîïôœù])", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")


def write(
    count: int, language: str = "fr", seed: int = 0, new_words: bool = False
) -> list[str]:
    """Write different sentences.

    Words of a rule are dealt like cards, each once before any comes again, so that rare words
    are heard often enough to be learnt.

    Parameters
    ----------
    count : int
        How many. No two are alike, not even but for punctuation and capitals.
    language : str
        ``"fr"``, ``"en"``, ``"de"`` or ``"es"``.
    seed : int
        Another seed writes other sentences.
    new_words : bool
        The same rules, with words of ``new_words.json`` where that has some: French and English.

    Raises
    ------
    ValueError
        There is no grammar of that language, or it has not so many sentences.

    Examples
    --------
    >>> len(set(write(100)))
    100
    """
    rules = _rules(language, new_words)
    draw = random.Random(f"{language} {seed}{' new words' if new_words else ''}")
    grammar = {name: rule.split("|") for name, rule in rules.items()}
    decks: dict[str, list[str]] = {}
    written: dict[tuple[str, ...], str] = {}
    misses = 0
    while len(written) < count:
        sentence = _finish(_expand("sentence", grammar, decks, draw))
        key = tuple(words(sentence))
        misses = misses + 1 if key in written else 0
        if misses > 1000:
            raise ValueError(f"The grammar of {language!r} has no {count:,} sentences.")
        written.setdefault(key, sentence)
    return list(written.values())


def words(sentence: str) -> list[str]:
    """The words of a sentence in lower case; an apostrophe or a hyphen parts two.

    Examples
    --------
    >>> words("J'aime l'été !")
    ['j', 'aime', 'l', 'été']
    """
    return _WORD.findall(sentence.lower())


def vocabulary(language: str = "fr", new_words: bool = False) -> set[str]:
    """Every word that the grammar of a language can write, elided ones too."""
    found = set()
    for rule in _rules(language, new_words).values():
        found.update(words(re.sub(r"\{\w+\}", " ", rule)))
    return found | ({"j", "n", "qu"} if language == "fr" else set())


def _rules(language: str, new_words: bool) -> dict[str, str]:
    known = NEW_WORDS if new_words else GRAMMARS
    if language not in known:
        what, names = "new words" if new_words else "grammars", ", ".join(map(repr, known))
        raise ValueError(f"language is {language!r}; there are {what} for {names}.")
    return GRAMMARS[language] | (NEW_WORDS[language] if new_words else {})


def _expand(name: str, grammar: dict, decks: dict, draw: random.Random) -> str:
    deck = decks.setdefault(name, [])
    if not deck:
        deck += grammar[name]
        draw.shuffle(deck)
    return re.sub(r"\{(\w+)\}", lambda found: _expand(found[1], grammar, decks, draw), deck.pop())


def _finish(sentence: str) -> str:
    """Elide, and begin with a capital letter."""
    sentence = _ELISION.sub(r"\1'", sentence)
    return re.sub(r"\w", lambda first: first[0].upper(), sentence, count=1)  # behind a "¿", too
