"""Which letters a language is written with, and what becomes of the others: for stage 4."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

LATIN = " 'abcdefghijklmnopqrstuvwxyz"

# Letters that Unicode does not take apart into a letter and a mark.
SPELLED = {
    "æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ẞ": "ss", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
    "ħ": "h", "ı": "i", "ȷ": "j", "ĸ": "k", "ŋ": "ng", "ŧ": "t", "ſ": "s", "ə": "e", "ɛ": "e",
    "ɔ": "o", "ɓ": "b", "ɗ": "d", "ƙ": "k", "ƴ": "y", "ƒ": "f", "ɣ": "g", "ɖ": "d", "ʋ": "v",
}  # fmt: skip
APOSTROPHES = "’‘‛`´ʻʼʽʹʾʿˈ′＇ꞌ՚"
# Signs between words or syllables: what stands on both sides of them is said apart.
GAPS = "/_\\|፡་"
# Signs that are read aloud, nobody knows how: a text with one of them cannot be taken as it is.
SPOKEN = set("&%@#*§¶‰‱※†‡٪")
STRETCHED = "\u0640"  # a line that makes an Arabic word longer
# Marks of Latin, Greek and Cyrillic that compose with no letter before them.
FIRST_MARK, LAST_MARK = "\u0300", "\u036f"
LAST = 0x20000  # what lies beyond is rare Chinese characters

# A script belongs to the language from this share of its letters on; else it is a foreign word.
SHARE = 0.05
# A symbol is heard often enough from this number of places in the training text on.
HEARD = 10


@cache
def table(marks: bool = False) -> dict[str, str]:
    """What to write for a character of a text: a plain letter, a space, or nothing.

    Latin letters lose their marks (*é* becomes *e*, *ł* becomes *l*), ligatures are spelled
    (*œ* is *oe*), Korean syllables fall apart into their letters, punctuation goes, dashes
    become spaces. Letters of all other scripts, digits, and signs that are read aloud, such as
    *%*, are not in the table: they stay as they are.

    Parameters
    ----------
    marks : bool, optional
        Leave letters as they are, marks and all: only spaces and signs are in the table.

    Returns
    -------
    dict of str to str
        Lower-case character, composed (NFC), to what stands for it. A value needs no second look.
    """
    characters = [c for c in map(chr, range(0x21, LAST)) if c == c.lower()]
    if marks:
        characters = [c for c in characters if unicodedata.category(c)[0] not in "LM"]
    written = {character: _plain(character) for character in characters}
    return {character: kept for character, kept in written.items() if kept != character}


def _plain(character: str) -> str:
    """One lower-case character as it is to be written."""
    category = unicodedata.category(character)
    if character in SPELLED:
        return SPELLED[character]
    if character in APOSTROPHES or character == "'":
        return "'"
    if character in GAPS or category in ("Pd", "Zs"):
        return " "
    if character in SPOKEN:
        return character
    if category[0] == "P" or category in ("Cf", "Sk", "Cc") or character in STRETCHED:
        return ""
    if FIRST_MARK <= character <= LAST_MARK:
        return ""
    if "HANGUL SYLLABLE" in (name := unicodedata.name(character, "")):
        return unicodedata.normalize("NFD", character)
    if "LATIN" in name and (parts := unicodedata.normalize("NFKD", character)) != character:
        return "".join(map(_plain, parts.lower()))
    return character


def script(character: str) -> str:
    """The script of a letter, by the first word of its name in Unicode: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(character, "UNKNOWN").split()[0]


def symbols(texts: Iterable[str]) -> str:
    """The symbols that a network should write, from the texts that it is trained on.

    For a language in Latin letters these are the space, the apostrophe, *a* to *z*, and what else
    of that script occurs ten times or more. For any other they are the space and the letters that
    its training text is made of, in the order of Unicode. A script that makes up less than a
    twentieth of the letters is left out (foreign words), and so are digits and signs, which do not
    say how they are read.

    Parameters
    ----------
    texts : iterable of str
        Normalised, with `table` applied.

    Returns
    -------
    str
        Each symbol once, the space first.

    Raises
    ------
    ValueError
        There is no letter, or the script has more symbols than these texts can teach: more than
        half of them occur fewer than ten times.
    """
    counts = Counter(character for text in texts for character in text)
    counts = Counter({c: n for c, n in counts.items() if unicodedata.category(c)[0] in "LM"})
    if not counts:
        raise ValueError("no letter in any training text: look at the sentences of the corpus")
    scripts = Counter()
    for letter, count in counts.items():
        scripts[script(letter)] += count
    own = {name for name, count in scripts.items() if count >= SHARE * counts.total()}
    found = {letter for letter in counts if script(letter) in own}
    rare = {letter for letter in found if counts[letter] < HEARD}
    if 2 * len(rare) > len(found):
        raise ValueError(
            f"{len(found):,} different letters, and {len(rare):,} of them occur fewer than {HEARD} "
            f"times in {counts.total():,} letters of training text: too few to learn how each one "
            "sounds. Take more clips, a language that is written with fewer letters, or a copy of "
            "this one's tables with the sentences in Latin letters (pinyin, for example)"
        )
    if "LATIN" in own:  # of its letters beyond a to z only those that are no stray
        found = found - {letter for letter in rare if script(letter) == "LATIN"} | set(LATIN)
    return " " + "".join(sorted(found - {" "}))


def alike(texts: Iterable[str], written: Iterable[str]) -> dict[str, list[str]]:
    """Words that differ in their marks alone, and are written alike without them.

    Parameters
    ----------
    texts, written : iterable of str
        Each text, normalised with the table that keeps marks and with the one that does not.

    Returns
    -------
    dict of str to list of str
        What is written, and the different words behind it, such as ``"ou": ["ou", "où"]``.
    """
    behind: dict[str, set[str]] = {}
    for text, plain in zip(texts, written, strict=True):
        before, after = text.split(), plain.split()
        if len(before) == len(after):  # a mark that stands alone is a word of its own, or nothing
            for word, short in zip(before, after, strict=True):
                behind.setdefault(short, set()).add(word)
    return {short: sorted(words) for short, words in behind.items() if len(words) > 1}
