"""Penn Treebank tokens as caption metrics count them, without Java.

Caption metrics are defined on the output of Stanford CoreNLP 3.4.1's tokeniser with its options for American
newswire, in lower case, from which punctuation has been taken (Microsoft COCO caption evaluation,
arXiv 1504.00325). As there, of all patterns that fit at a place the one that reaches furthest wins, what it asks
to stand after the token included; of equals the first.
"""

from __future__ import annotations

from collections.abc import Iterable

import regex

# Tokens that do not count. Brackets are named in capitals here, but compared in lower case: they stay.
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)  # fmt: skip

BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
FRACTIONS = {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
CURRENCIES = {"£": "#", "€": "$", "¤": "$", "₠": "$", "¢": "cents"}
WRITTEN = BRACKETS | FRACTIONS | CURRENCIES

# Abbreviations that keep their stop; those with a capital in brackets are words otherwise.
MONTHS_AND_DAYS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thu|Thurs|Fri"
STATES = (
    "Ala|Ariz|(?-i:A)z|(?-i:A)rk|Calif|Colo|Conn|Ct|Dak|(?-i:D)el|Fla|Ga|(?-i:I)ll|Ind|Kans?|Ky|(?-i:L)a|"
    "(?-i:M)ass|Md|Mich|Minn|(?-i:M)iss|Mo|Mont|Neb|Nev|Okla|(?-i:O)re|(?-i:P)a|Penn|Tenn|(?-i:T)ex|Va|Vt|"
    "(?-i:W)ash|Wisc?|Wyo"
)
FIRMS = "Inc|Cos?|Corp|Pp?tys?|Ltd|Plc|Bancorp|Dept|Bhd|Assn|Univ|Intl|Sys|Invt|Elec|Natl|M[ft]g"
TITLES = (
    "Mr|Mrs|Ms|(?-i:M)iss|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|Cpl|Pvt|Mt|"
    "Capt|Ste?|Ave|Pres|Lieut|Hon|Brig|Co?mdr|Pfc|Spc|Supts?|Det|Jr|Sr|Bros|(?:Ed|Ph)\\.D|Blvd|Rd|Esq"
)
OTHERS = "etc|al|seq|vs|Alex|Wm|Jos|Cie|a\\.k\\.a|cf|TREAS|[a-z]|[a-z](?:\\.[a-z])+"
BEFORE_NUMBERS = "ca|figs?|prop|nos?|art|bldg|pp|op"

LETTER = r"[\p{L}\p{M}]"
APOSTROPHE = "['’´]"
INSIDE = "['’´`‘‛]"  # what may stand for an apostrophe inside a word
NUMBER = r"(?:\d*(?:[.,]\d+)+|\d+(?:[.:,]\d+)*)"
WORD = rf"(?:{LETTER}[\p{{L}}\p{{M}}\d]*(?:[.!?]{LETTER}[\p{{L}}\p{{M}}\d]*)*)"
CLITIC = f"(?:{INSIDE}(?:s|m|d|re|ve|ll|em))"
NOT = f"(?:n{INSIDE}t)"
HOST = r"(?:[^\s\"`'<>|.!?(){},/$-]+\.)"
PATH = r"[^\s\"<>|()]*[^\s\"<>|.!?(){},:;'-]"

# The first group that matched is the token; the next must stand after it.
PATTERNS = tuple(
    regex.compile(pattern, regex.IGNORECASE | regex.VERSION1)
    for pattern in (
        rf"(can)(not)|(gon|got|lem|gim|wan)(na|ta|me)(?!{LETTER})|({APOSTROPHE}t)(is|was)(?!{LETTER})",
        r"(</?[a-z!?][^<>]*>)",
        rf"({WORD})({CLITIC}{CLITIC}?)",
        rf"(\p{{L}}*[a-mo-z])({NOT})",
        rf"({WORD})",
        rf"(y{APOSTROPHE})({WORD})|(more)({APOSTROPHE}n(?!{LETTER}))",
        # Words with an apostrophe: 'n', l', ol', 'em, '90s, cap'n, o'clock, O'Neill, ma'am.
        rf"({APOSTROPHE}n{APOSTROPHE}?|(?:[ldj]|dunkin|somethin|ol){APOSTROPHE})",
        rf"({APOSTROPHE}(?:em|till?|cause|twixt|[2-9]0s)|c{APOSTROPHE}mon|li{APOSTROPHE}l)",
        rf"(cap{APOSTROPHE}n|cont{APOSTROPHE}d\.?|nor{APOSTROPHE}easter|c\+\+|[cf]#)",
        rf"([a-hj-xz]{INSIDE}\p{{L}}{{2,}}|\p{{L}}*[aeiouy]{INSIDE}[a-z]\p{{L}}*)({CLITIC}?)",
        rf"(https?://{PATH})",
        rf"((?:www\.{HOST}+[a-z]{{2,4}}|{HOST}+(?:com|net|org|edu))(?:/{PATH})?)(?!{LETTER})",
        r"([a-z0-9][^\s\"<>|(){}]*@(?:[^\s\"<>|(){}.]+\.)*[^\s\"<>|(){}\[\].,;:]+)",
        rf"([@#]{LETTER}[\p{{L}}\d_]*)",
        rf"({CLITIC}|{NOT})(?!{LETTER})",
        rf"(\d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2,4}}|[-+]?{NUMBER}|\d{{1,4}}/\d{{1,4}})",
        r"(\p{Lu}*\$|\p{Sc})",
        # The stop is the word's before a comma or colon, and in an abbreviation.
        rf"({WORD}\.)([,;:])",
        rf"((?:{MONTHS_AND_DAYS}|{STATES}|{FIRMS}|{TITLES}|{OTHERS})\.)(?!{LETTER})",
        rf"((?:{BEFORE_NUMBERS})\.)(\s?\d)",
        rf"((?:[dol]{INSIDE}[a-z0-9])?(?:[a-z0-9]+|[-+]?{NUMBER})(?:-(?:[dol]{INSIDE}[a-z0-9])?[a-z0-9]+)*)",
        r"([\p{L}\d][\p{L}\d.,]*(?:[-_](?:[\p{L}\d]+(?:\.\d+)?))+)",
        r"([a-z0-9]+(?:-[a-z]+){0,2}(?:/[a-z0-9]+(?:-[a-z]+){0,2}){1,2})",
        r"(\p{Lu}+(?:[+&]\p{Lu}+)+)",
        rf"([<>]?[:;=][-o*]?[()dpo@|\[\]\\])(?!{LETTER})",
        r"([?!]+|\.\.+|\.\s\.(?:\s\.)*|-+|_+|\*+|#+|@+)",
        r"([\p{P}\p{S}½¼¾⅓⅔--[\U00002c00-\U0010ffff]])",
    )
)


def tokenize(sentence: str) -> str:
    """The tokens of one sentence that count, in lower case, joined by single spaces; nothing for an empty one."""
    return " ".join(token for token in tokens(sentence) if token not in PUNCTUATION)


def tokenize_all(sentences: Iterable[str]) -> list[str]:
    """`tokenize` of each sentence."""
    return [tokenize(sentence) for sentence in sentences]


def tokens(sentence: str) -> list[str]:
    """All tokens of a sentence in lower case, punctuation and all."""
    found, at = [], 0
    while at < len(sentence):
        matches = [match for pattern in PATTERNS if (match := pattern.match(sentence, at))]
        if not matches:  # a space, or a sign the treebank does not know
            at += 1
            continue
        best = max(matches, key=lambda match: match.end())
        token = next(group for group in best.groups() if group)
        found.append(written(token))
        at += len(token)
    return found


def written(token: str) -> str:
    """A token as the treebank writes it."""
    if regex.fullmatch(r"[“”«»\"]", token):
        return "''"
    if regex.fullmatch(r"[–—―]|-{2,}", token):
        return "--"
    if token == "…" or regex.fullmatch(r"\.\s?\.[.\s]*", token):
        return "..."
    plain = regex.sub("[’‘‛´`]", "'", token)
    if not plain[-1].isalnum():  # a smile too is written with a bracket's name
        plain = regex.sub(r"[()]", lambda match: BRACKETS[match[0]], plain)
    return WRITTEN.get(plain, plain.lower())
