"""Sentences to be read aloud: two small grammars, written as data.

A grammar is a table of rules. ``"who": "le chat|la fille"`` says that ``{who}`` becomes one of
two texts; a text may hold further names in braces. Words that must agree stand under names of
their own (``clothes_m`` with ``colour_m``), so that every sentence is correct, and verbs are
paired with what one does to things, so that every sentence makes sense.

To add words, add them to a rule; to add a language, add a grammar to `GRAMMARS`.
"""

from __future__ import annotations

import random
import re

FRENCH = {
    # A name that stands more often in a rule is drawn more often.
    "sentence": "{act}|{act}|{act}|{act}|{act}|{act}|{out}|{out}|{out}|{like}|{like}|{be}|{be}|"
    "{have}|{question}|{question}|{weather}|{there}|{show}|{lack}|{animal}",
    "act": "{who} {do}.|{who} {do} {when}.|{when}, {who} {do}.",
    "out": "{who} {move} {where}.|{who} {carry} {food} {where}.|{when}, {who} {move} {where}.",
    "like": "{who} {likes} {liked}.|{who} ne aime pas {liked}.",
    "be": "{man} est {state_m} {day}.|{woman} est {state_f} {day}.|{place} est {look}.|"
    "{place_m} est ouvert {day}.|{place_f} est ouverte {day}.|"
    "{dish_m} est {taste_m} {day}.|{dish_f} est {taste_f} {day}.",
    "have": "{person} a {need} {day}.|{child} a {number} ans.",
    "question": "où est {sought} ?|est-ce que {person} {do} ?|qui {do} ?|"
    "est-ce que {guest} arrive {when} ?|est-ce que {person} {likes} {liked} ?",
    "weather": "il {sky} {day}.|{day}, il {sky} {where_wild}.",
    "there": "il y a {number} {animals} {where}.",
    "show": "voici {sought} !|c'est un {built} {look} !|{guest} arrive {day} !",
    "lack": "{who} ne trouve pas {sought}.",
    "animal": "{pet} {rests} {where}.",
    # A verb in -er has one form for je, il, elle and on: so they can stand for any person.
    "who": "{man}|{woman}|{man}|{woman}|il|elle|on|je|je",
    "person": "{man}|{woman}|{man}|{woman}|il|elle|on",
    "man": "le garçon|mon frère|le professeur|notre ami|le boulanger",
    "woman": "la fille|ma sœur|la voisine|la reine|ma mère",
    "child": "le garçon|mon frère|la fille|ma sœur|il|elle",
    "do": "{carry} {food}|prépare {dish}|goûte {dish}|{handle} {clothes}|{seek} {paper}|"
    "{look_at} {view}|{hear}|{fix}",
    "carry": "mange|achète|apporte|partage",
    "food": "une pomme|du pain|des tomates|un œuf|une orange|du maïs|du fromage|un kiwi",
    "dish": "{dish_m}|{dish_f}",
    "dish_m": "le gâteau|le poisson|le repas",
    "dish_f": "la soupe|la tarte",
    "taste_m": "froid|chaud|prêt|bon",
    "taste_f": "froide|chaude|prête|bonne",
    "handle": "porte|achète|lave|cherche",
    "clothes": "{clothes_m} {colour_m}|{clothes_f} {colour_f}",
    "clothes_m": "un chapeau|un manteau",
    "clothes_f": "une veste|une écharpe",
    "colour_m": "rouge|jaune|vert|blanc",
    "colour_f": "rouge|jaune|verte|blanche",
    "seek": "cherche|trouve|oublie",
    "paper": "un livre|une lettre|la clé|le journal|une photo",
    "look_at": "regarde|dessine|admire",
    "view": "le soleil|le château|une fleur|un arbre|la forêt|le ciel|l'île|la mer",
    "hear": "écoute la musique|écoute une chanson|chante une chanson",
    "fix": "répare le vélo|répare la voiture|ferme la porte|ouvre la porte|ferme la fenêtre|"
    "ouvre la fenêtre|lave la voiture",
    "move": "travaille|danse|chante|marche|joue",
    "where": "{where_wild}|devant l'école|près de la mer|à la gare|à la maison|au marché",
    "where_wild": "dans le jardin|dans la forêt|sur l'île",
    "when": "{day}|{day}|demain|à midi|chaque jour|le dimanche|en août|à Noël",
    "day": "ce matin|ce soir|aujourd'hui",
    "sky": "pleut|neige|fait froid|fait chaud|fait beau",
    "likes": "aime|adore|déteste",
    "liked": "la musique|la neige|le chocolat|l'été|la mer|le fromage|l'école|le français|la pluie",
    "state_m": "content|malade|prêt|en retard",
    "state_f": "contente|malade|prête|en retard",
    "place": "{place_m}|{place_f}",
    "place_m": "le château|le jardin|le marché",
    "place_f": "la maison|la gare|l'école",
    "look": "magnifique|étrange|célèbre",
    "built": "château|jardin|livre|arbre",
    "need": "faim|soif|froid",
    "number": "deux|trois|six|sept|huit|douze",
    "sought": "le chat|la clé|mon livre|le journal|la gare|le vélo|ma sœur|mon frère|le château",
    "guest": "le train|la reine|ma mère|le professeur|notre ami",
    "animals": "chats|chiens|oiseaux|vaches",
    "pet": "le chat|le chien|l'oiseau|la vache",
    "rests": "dort|mange|arrive|attend",
}

ENGLISH = {
    "sentence": "{act}|{act}|{act}|{act}|{act}|{act}|{out}|{out}|{out}|{like}|{like}|{be}|{be}|"
    "{have}|{question}|{question}|{weather}|{there}|{show}|{lack}|{animal}",
    "act": "{who} {do}.|{who} {do} {when}.|{when}, {who} {do}.",
    "out": "{who} {move} {where}.|{who} {carry} {food} {where}.|{when}, {who} {move} {where}.",
    "like": "{who} {likes} {liked}.|{who} doesn't like {liked}.",
    "be": "{who} is {state} {day}.|{place} is {look}.|{place} is open {day}.|"
    "{dish} is {taste} {day}.",
    "have": "{who} is {need} {day}.|{child} is {number} years old.|it's {number} o'clock.",
    "question": "where is {sought}?|who {do}?|does {guest} arrive {when}?|"
    "does {who} like {liked}?|why does {who} {move_plain} {where}?",
    "weather": "it {sky} {day}.|{day}, it {sky} {where_wild}.",
    "there": "there are {number} {animals} {where}.",
    "show": "here is {sought}!|it's a {look} {built}!|{guest} arrives {day}!",
    "lack": "{who} can't find {sought}.",
    "animal": "{pet} {rests} {where}.",
    "who": "{adult}|{adult}|{child}",
    "adult": "the teacher|our friend|the baker|the queen|my mother|he|she",
    "child": "the boy|the girl|my sister|my brother|he|she",
    "do": "{carry} {food}|cooks {dish}|tastes {dish}|{handle} a {colour} {clothes}|{seek} {paper}|"
    "{look_at} {view}|{hear}|{fix}",
    "carry": "eats|buys|wants|shares",
    "food": "an apple|some bread|an egg|an orange|some cheese|a tomato|a pizza",
    "dish": "the soup|the fish|the cake|the meal",
    "taste": "cold|hot|ready|good",
    "handle": "wears|buys|washes|finds",
    "clothes": "hat|coat|jacket|scarf",
    "colour": "red|yellow|green|white",
    "seek": "finds|forgets|reads",
    "paper": "a book|a letter|the newspaper|the card",
    "look_at": "watches|draws|paints",
    "view": "the sun|the castle|a flower|a tree|the forest|the sky|the sea",
    "hear": "hears the music|hears a song|sings a song",
    "fix": "repairs the bicycle|repairs the car|closes the door|opens the door|"
    "closes the window|opens the window|washes the car",
    "move": "works|dances|sings|walks|plays",
    "move_plain": "work|dance|sing|walk|play",
    "where": "{where_wild}|behind the school|near the sea|at the station|at home|at the market",
    "where_wild": "in the garden|in the forest|on the island",
    "when": "{day}|{day}|tomorrow|at noon|every day|on Sunday|in August|at Christmas",
    "day": "this morning|tonight|today",
    "sky": "rains|snows|is cold|is hot|is windy",
    "likes": "likes|loves|hates",
    "liked": "music|snow|chocolate|summer|the sea|cheese|school|English|the rain",
    "state": "happy|ill|ready|late",
    "place": "the castle|the garden|the market|the house|the station|the school",
    "look": "beautiful|strange|famous",
    "built": "castle|garden|book|tree|house",
    "need": "hungry|thirsty|cold",
    "number": "two|three|six|seven|eight|ten",
    "sought": "the cat|the key|my book|the newspaper|the station|the bicycle|my sister|my brother",
    "guest": "the train|the queen|my mother|the teacher|our friend",
    "animals": "cats|dogs|birds|cows",
    "pet": "the cat|the dog|the bird|the cow",
    "rests": "sleeps|eats|waits|drinks",
}

GRAMMARS = {"fr": FRENCH, "en": ENGLISH}

# je aime -> j'aime. Only these words meet a vowel that varies; "l'école" stands in the grammar.
_ELISION = re.compile(r"\b(j|n|qu)e (?=[aeiouyàâéèêëîïôœù])", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")


def write(count: int, language: str = "fr", seed: int = 0) -> list[str]:
    """Write different sentences.

    Words of a rule are dealt like cards, each once before any comes again, so that rare words
    are heard often enough to be learnt.

    Parameters
    ----------
    count : int
        How many. No two are alike, not even but for punctuation and capitals.
    language : str
        ``"fr"`` or ``"en"``.
    seed : int
        Another seed writes other sentences.

    Raises
    ------
    ValueError
        There is no grammar of that language, or it has not so many sentences.

    Examples
    --------
    >>> len(set(write(100)))
    100
    """
    if language not in GRAMMARS:
        known = ", ".join(map(repr, GRAMMARS))
        raise ValueError(f"language is {language!r}; there are grammars for {known}.")
    draw = random.Random(f"{language} {seed}")
    grammar = {name: rule.split("|") for name, rule in GRAMMARS[language].items()}
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


def vocabulary(language: str = "fr") -> set[str]:
    """Every word that the grammar of a language can write, elided ones too."""
    found = set()
    for rule in GRAMMARS[language].values():
        found.update(words(re.sub(r"\{\w+\}", " ", rule)))
    return found | ({"j", "n", "qu"} if language == "fr" else set())


def _expand(name: str, grammar: dict, decks: dict, draw: random.Random) -> str:
    deck = decks.setdefault(name, [])
    if not deck:
        deck += grammar[name]
        draw.shuffle(deck)
    return re.sub(r"\{(\w+)\}", lambda found: _expand(found[1], grammar, decks, draw), deck.pop())


def _finish(sentence: str) -> str:
    """Elide, and begin with a capital letter."""
    sentence = _ELISION.sub(r"\1'", sentence)
    return sentence[0].upper() + sentence[1:]
