"""How long a text takes to say, without a voice at hand.

English syllables come from the CMU pronouncing dictionary, and by rule for what it does not know; numbers and
abbreviations count as they are read out. The estimate is spec 3.1's: syllables at the rate's pace, and pauses
for commas and for sentences that end inside the text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from avtool import pronunciation
from avtool.timeline import SECOND

SYLLABLES_PER_WORD = 1.5  # of running English: turns words a minute into syllables a second
COMMA, SENTENCE_END, BREATH = 0.12, 0.30, 0.06  # seconds

# Syllables a second relative to English (Pellegrino, Coupé and Marsico, "Across-language perspective on speech
# information rate", Language 87, 2011: en 6.19, de 5.97, es 7.82, fr 7.18, it 6.99, ja 7.84, vi 5.22, zh 5.18).
PACE = {"de": 0.96, "es": 1.26, "fr": 1.16, "it": 1.13, "ja": 1.27, "vi": 0.84, "zh": 0.84}

TITLES = {"mr": "mister", "mrs": "missis", "ms": "miz", "dr": "doctor", "st": "saint", "jr": "junior"}
SYMBOLS = {
    "&": "and",
    "%": "percent",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "@": "at",
    "+": "plus",
    ".": "point",
}
# fmt: off
UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on

TOKEN = re.compile(
    r"\d+(?:,\d{3})*(?:st|nd|rd|th|s)?\b|\.(?=\d)|\d+|(?:[^\W\d_]\.){2,}|[^\W\d_]+(?:['’][^\W\d_]+)*|[&%$£€@+]"
)
PAUSE = re.compile(r"[,;:](?=\s)|\s[-–—]+\s|—")
INNER_END = re.compile(r"(?:[.!?]+|…)[\"'”’)\]]*\s+(?=\S)")
ABBREVIATION = re.compile(rf"\b(?:{'|'.join(TITLES)}|vs|etc|no|[A-Z])\.\s", re.IGNORECASE)


def syllables(text: str, language: str = "en") -> int:
    """Syllables of `text` as it is read out; `language` is a BCP 47 tag. Exact in dictionary English only."""
    count = _english if _primary(language) == "en" else _vowel_groups
    return sum(count(token) for token in TOKEN.findall(unicodedata.normalize("NFKC", text)))


def speaking_time(text: str, wpm: float, language: str = "en") -> int:
    """Microseconds it takes to say `text` at `wpm` words a minute (spec 3.1)."""
    rate = wpm / 60 * SYLLABLES_PER_WORD * PACE.get(_primary(language), 1.0)
    text = text.strip()
    ends = INNER_END.findall(ABBREVIATION.sub(" ", text))
    pauses = COMMA * len(PAUSE.findall(text)) + SENTENCE_END * len(ends)
    return round((syllables(text, language) / rate + pauses + BREATH) * SECOND)


def words(text: str) -> int:
    """Words of `text` as the rates count them: punctuation is none, a hyphenated word is one."""
    return len(re.findall(r"\w[\w'’]*(?:[-.,:]\w[\w'’]*)*", text))


def number(value: int) -> str:
    """An integer from 0 in English words: 42 -> "forty-two"."""
    if value < 20:
        return UNITS[value]
    if value < 100:
        tens, rest = divmod(value, 10)
        return TENS[tens - 2] + (f"-{UNITS[rest]}" if rest else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if value >= size:
            much, rest = divmod(value, size)
            return f"{number(much)} {name}" + (f" {number(rest)}" if rest else "")
    raise ValueError(f"{value} is not a number of things")


def _primary(language: str) -> str:
    return language.split("-")[0].lower()


@lru_cache(maxsize=20_000)
def _english(token: str) -> int:
    if token[0].isdecimal():
        return sum(_english(word) for word in re.split(r"[ -]", read_out(re.sub(r"\D", "", token))))
    word = SYMBOLS.get(token, token).lower().replace("’", "'")
    word = TITLES.get(word, word)
    if known := pronunciation.syllables(word):
        return known
    if word.endswith("'s"):
        owner = word.removesuffix("'s")
        return _english(owner) + owner.endswith(("s", "x", "z", "ch", "sh", "ce", "ge", "se", "ze"))
    letters = word.replace(".", "")
    if "." in word or (token.isupper() and (len(letters) < 4 or not re.search("[aeiouy]", letters))):
        return sum(3 if letter == "w" else 1 for letter in letters)  # spelled out
    return _by_rule(letters)


def read_out(digits: str) -> str:
    """Digits in words: years in two halves, long codes and leading zeros digit by digit."""
    value = int(digits)
    if len(digits) > 9 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(UNITS[int(digit)] for digit in digits)
    century, year = divmod(value, 100)
    if 1100 <= value < 2100 and century != 20 and len(digits) == 4:
        return number(century) + (f" oh {number(year)}" if 0 < year < 10 else f" {number(year or 100)}")
    return number(value)


def _by_rule(word: str) -> int:
    """Syllables of an English word from its spelling: vowel groups, less what is silent."""
    count = len(re.findall(r"[aeiouy]+", word))
    count += len(re.findall(r"i[aou](?!u)|[aeiou]ing|[^q]u[aeo](?=[lnrt])|eo(?=[nl])", word))
    count -= len(re.findall(r"(?<=[^aeiouylr])e$|(?<=[aeiouy][lr])e$|(?<=[^aeiouytd])ed$", word))
    count -= len(
        re.findall(
            r"(?<!ch)(?<!sh)(?<=[^aeiouyscxzg])(?<![^aeiouyr]l)es$|(?<=[ct])i[ao](?=[nu])|[^aeiouy]e(?=ly$|ful|less|ment)",
            word,
        )
    )
    return max(1, count)


def _vowel_groups(token: str) -> int:
    """Syllables in any script: a vowel group, an ideograph or a kana is one; unwritten vowels come to one in two letters."""
    plain = "".join(c for c in unicodedata.normalize("NFD", token.lower()) if not unicodedata.combining(c))
    signs = len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff]", plain))
    if signs:
        return signs
    if groups := re.findall(r"[aeiouyæœøαειηουωаеиоуыэюяіїє]+", plain):
        return len(groups)
    return len(plain) if plain.isdecimal() else max(1, len(plain) // 2)
