"""The grammars: words, agreement and punctuation, and that no sentence comes twice."""

import re
import subprocess
import sys
import unicodedata

import pytest

from course_utils.corpora.embedded import sentences
from course_utils.corpora.embedded.sentences import GRAMMARS, NEW_WORDS, vocabulary, words, write

LANGUAGES = list(GRAMMARS)
NEW = {language: write(1500, language, new_words=True) for language in NEW_WORDS}
MANY = {language: write(1500, language) for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_sentences_are_alike_not_even_but_for_signs(language):
    assert len({tuple(words(sentence)) for sentence in MANY[language]}) == 1500


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_words_are_known_and_all_are_used_often_enough_to_be_learnt(language):
    count = dict.fromkeys(vocabulary(language), 0)
    for sentence in MANY[language]:
        for word in words(sentence):
            count[word] += 1  # KeyError: a word that the grammar does not have
    assert 140 <= len(count) <= 190
    assert min(count.values()) >= 3
    assert sum(number >= 8 for number in count.values()) > 0.85 * len(count)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_short(language):
    assert max(map(len, MANY[language])) < 60
    assert all(2 <= len(words(sentence)) <= 12 for sentence in MANY[language])


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_begins_with_a_capital_and_ends_with_a_sign(language):
    for sentence in MANY[language]:
        assert sentence.lstrip("¿¡")[0].isupper()
        assert sentence[-1] in ".?!"
        assert sentence == " ".join(sentence.split())
        assert not set("{}|") & set(sentence)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_is_used_and_every_name_has_a_rule(language):
    grammar = GRAMMARS[language]
    named = {name for rule in grammar.values() for name in re.findall(r"\{(\w+)\}", rule)}
    assert named | {"sentence"} == grammar.keys()


def test_french_has_its_letters_and_signs():
    letters = set("".join(MANY["fr"]))
    assert set("àâçèéêëîïùûœ") < letters
    assert set("abcdefghijklmnopqrstuvwxyz") < letters
    assert set("'-,.!? ") < letters
    # One sign a letter: what is written as letter and accent apart is another text.
    assert all(unicodedata.is_normalized("NFC", sentence) for sentence in MANY["fr"])


def test_english_has_its_letters_and_signs():
    assert set("abcdefghijklmnopqrstuvwxyz',.!? ") < set("".join(MANY["en"]))


def test_french_elides_before_a_vowel_and_only_there():
    text = "\n".join(MANY["fr"]).lower()
    assert not re.search(r"\b(je|ne|que|le|la) [aeiouyàâéèêëîïôœù]", text)
    assert not re.search(r"\b(j|n|qu|l|d|c)'[^aeiouyàâéèêëîïôœù]", text)
    for example in ("j'a", "n'aime", "qu'il", "qu'e", "c'est", "l'é"):
        assert example in text


@pytest.mark.parametrize(
    "wrong",
    [
        # A masculine word beside a feminine form, and the other way round.
        r"\b(une|la) (chapeau|manteau|gâteau|poisson|livre|arbre|château|jardin|vélo|chat)\b",
        r"\b(un|le) (veste|écharpe|soupe|tarte|pomme|orange|fleur|lettre|clé|photo|maison|gare)\b",
        r"\b(chapeau|manteau) (verte|blanche)\b",
        r"\b(veste|écharpe) (vert|blanc)\b",
        r"\b(garçon|frère|professeur|ami|boulanger) est (contente|prête)\b",
        r"\b(fille|sœur|voisine|reine|mère) est (content|prêt)\b",
        r"\b(soupe|tarte) est (froid|chaud|prêt|bon)\b",
        r"\b(gâteau|poisson|repas) est (froide|chaude|prête|bonne)\b",
        r"\b(maison|gare|école) est ouvert\b",
        r"\b(deux|trois|six|sept|huit|douze) (chat|chien|oiseau|vache)\b",
        r"\bje (est|a|ne a)\b",  # verbs whose first person looks different
        r"\bpas (du|des|une?)\b",  # after a negation it would be "de"
        r"\b(\w+) \1\b",
    ],
)
def test_french_agrees(wrong):
    assert [s for s in MANY["fr"] if re.search(wrong, s.lower())] == []


@pytest.mark.parametrize(
    "wrong",
    [
        r"\ba [aeiou]",
        r"\ban [^aeiou]",
        r"\b(doesn't|does \w+( \w+)?) (likes|loves|hates)\b",
        r"\b(two|three|six|seven|eight|ten) (cat|dog|bird|cow|year)\b",
        r"\b(he|she|\w+) (like|love|hate|work|dance)\b(?<!doesn't like)(?<!I like)\.",
        r"\b(\w+) \1\b",
    ],
)
def test_english_agrees(wrong):
    statements = [s for s in MANY["en"] if not s.lower().startswith(("does", "why"))]
    assert [s for s in statements if re.search(wrong, s.lower())] == []


@pytest.mark.parametrize(
    "language, wrong",
    [
        # An article beside a noun of another gender or case.
        ("de", r"\b(einen|den) (suppe|torte|blume|tür|sonne|insel|mütze|jacke|buch|fenster)\b"),
        ("de", r"\b(der|die) (schloss|buch|haus|mädchen|fahrrad|gemüse|essen|auto|fenster)\b"),
        ("de", r"\beine (apfel|ei|buch|brief|baum|hut|mantel|hemd|kleid|foto)\b"),
        ("de", r"\b(roten|grünen|weißen) (jacke|mütze|hemd|kleid)\b"),
        ("de", r"\b(rotes|grünes|weißes) (hut|mantel|jacke|mütze)\b"),
        ("de", r"\b(sieht|zeichnet|malt|findet) (\w+ )?der \w+\.$"),
        ("es", r"\b(una|la) (sombrero|abrigo|libro|árbol|castillo|jardín|coche|gato|pescado)\b"),
        ("es", r"\b(un|el) (chaqueta|bufanda|sopa|tarta|manzana|naranja|flor|carta|llave|casa)\b"),
        ("es", r"\b(sombrero|abrigo) (roja|amarilla|blanca)\b"),
        ("es", r"\b(niña|hermana|vecina|reina|madre) está (contento|enfermo|listo|cansado)\b"),
        ("es", r"^[^¿]*\?|^[^¡]*!"),
    ],
)
def test_german_and_spanish_agree(language, wrong):
    assert [s for s in MANY[language] if re.search(wrong, s.lower())] == []


def test_german_and_spanish_have_their_letters():
    assert set("äöüß") < set("".join(MANY["de"]))
    assert set("áéíóúñ¿¡") < set("".join(MANY["es"]))


@pytest.mark.parametrize("language", NEW_WORDS)
def test_every_sentence_of_new_words_has_one_and_no_new_word_is_an_old_one(language):
    known = vocabulary(language)
    assert all(set(words(sentence)) - known for sentence in NEW[language])
    used = {word for sentence in NEW[language] for word in words(sentence)}
    assert used <= vocabulary(language, new_words=True)
    assert len(used - known) > 140
    letters = set("".join(MANY[language]).lower())
    assert set("".join(NEW[language]).lower()) <= letters  # what no letter can be asked for


def test_new_words_obey_the_same_rules():
    for language, rules in NEW_WORDS.items():
        assert rules.keys() <= GRAMMARS[language].keys()
    text = "\n".join(NEW["fr"]).lower()
    assert not re.search(r"\b(je|ne|que|le|la) [aeiouyàâéèêëîïôœù]", text)
    with pytest.raises(ValueError, match="there are new words for 'fr', 'en'"):
        write(1, "de", new_words=True)


def test_the_same_seed_writes_the_same_and_another_others():
    assert write(50) == write(50) == write(80)[:50]
    assert write(50, seed=1) != write(50)


def test_another_process_writes_the_same():
    code = "from course_utils.corpora.embedded import sentences; print(ascii(sentences.write(40)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(write(40))


def test_a_language_without_a_grammar():
    with pytest.raises(ValueError, match=r"language is 'it'; there are grammars for 'fr', 'en', "):
        write(1, "it")


def test_a_grammar_has_an_end(monkeypatch):
    monkeypatch.setitem(sentences.GRAMMARS, "xx", {"sentence": "oui.|non."})
    assert sorted(write(2, "xx")) == ["Non.", "Oui."]
    with pytest.raises(ValueError, match="The grammar of 'xx' has no 3 sentences"):
        write(3, "xx")


def test_words_are_dealt_like_cards(monkeypatch):
    monkeypatch.setitem(
        sentences.GRAMMARS, "xx", {"sentence": "{a} {b}.", "a": "un|deux|trois", "b": "x|y|z|w"}
    )
    first = [sentence.split()[0] for sentence in write(3, "xx")]
    assert sorted(first) == ["Deux", "Trois", "Un"]
