"""Made-bad scripts, cast files, project files and settings."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from avtool.timeline import SECOND, Description, Film, Shot, Span
from avtool.tracks import script as projects
from avtool.tracks import write
from avtool.tracks.script import Script

DEEP = 100_000  # levels of nesting
CUES = [
    Description(f"ad-{n:04}", Span((3 * n + 1) * SECOND, (3 * n + 3) * SECOND), text)
    for n, text in enumerate(("Mara lifts the lantern.", "A sign: <Harbour> & Office.", "Night."))
]


def good_scripts(folder: Path) -> dict[str, bytes]:
    """One script in each format that is read."""
    film = Film(Path("film.mp4"), Span(0, 20 * SECOND), shots=[Shot(0, Span(0, 20 * SECOND), "start", 1.0)])
    script = Script(film, projects.Plan(list(CUES), []))
    made = {}
    for kind, suffix in (("srt", "srt"), ("vtt", "vtt"), ("ass", "ass"), ("dapt", "ttml"), ("json", "json")):
        write(script, folder / f"good.{suffix}", kind)
        made[suffix] = (folder / f"good.{suffix}").read_bytes()
    return made


def mutated(content: bytes, draw: random.Random) -> bytes:
    """`content` with bytes turned, cut out, doubled, or replaced by what parsers trip over."""
    bad = bytearray(content)
    odd = (
        b"\0",
        b"\xff\xfe",
        b"-->",
        b"<",
        b"&",
        b"{",
        b"[[",
        b"99999999999:",
        b"-1",
        b"NaN",
        b"\xf0\x9f\x8e\xb5",
        b"\r",
        b"1e999",
    )
    for _ in range(draw.choice((1, 2, 8, 40))):
        at = draw.randrange(len(bad) or 1)
        match draw.randrange(5):
            case 0:
                bad[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                bad[at:at] = draw.choice(odd)
            case 2:
                del bad[at : at + draw.randrange(1, 30)]
            case 3:
                bad[at:at] = bad[at : at + draw.randrange(1, 60)]
            case _:
                bad[at : at + 4] = draw.choice(odd)
    return bytes(bad)


def scripts(good: dict[str, bytes], seed: int, secret: Path, url: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of made-bad scripts."""
    for suffix, content in good.items():
        draw = random.Random(f"{suffix} {seed}")
        for number in range(24):
            yield f"script-{number}.{suffix}", mutated(content, draw)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    ttml = good["ttml"].decode()
    yield (
        "laughs.ttml",
        f'<!DOCTYPE tt [<!ENTITY l0 "ha">{laughs}]><tt xmlns="http://www.w3.org/ns/ttml">&l11;</tt>'.encode(),
    )
    for name, where in (("file", secret.as_uri()), ("url", url)):
        entity = f'<!DOCTYPE tt [<!ENTITY x SYSTEM "{where}">]>'
        yield f"entity-{name}.ttml", (entity + ttml[ttml.index("<tt") :].replace("Night.", "&x;")).encode()
        yield f"dtd-{name}.ttml", (f'<!DOCTYPE tt SYSTEM "{where}">' + ttml[ttml.index("<tt") :]).encode()
        include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{where}"/>'
        yield f"include-{name}.ttml", ttml.replace("Night.", include).encode()
        yield f"audio-{name}.ttml", ttml.replace("Night.", f'<audio src="{where}"/>Night.').encode()
    yield "deep.ttml", ttml.replace("Night.", "<span>" * DEEP + "</span>" * DEEP).encode()
    attributes = " ".join(f'a{n}=""' for n in range(DEEP))
    yield "wide.ttml", ttml.replace("<tt ", f"<tt {attributes} ").encode()
    cue = "{}\n00:00:01,000 --> 00:00:02,000\n{}\n\n"
    yield "many.srt", "".join(cue.format(n, "A.") for n in range(4_000)).encode()
    yield "long.srt", cue.format(1, "word " * 400_000).encode()
    yield "tags.srt", cue.format(1, "<i>" * DEEP + "{\\an8}" * DEEP).encode()
    yield "late.srt", b"1\n9999999999:59:59,999 --> 99999999999:00:00,000\nA.\n"
    yield "colons.srt", b"1\n" + b"0:" * DEEP + b"\n"
    yield "spaces.srt", b"1\n" + b" " * 3_000_000 + b"-->" + b" " * 3_000_000
    yield "one-line.vtt", b"WEBVTT " + b"a-->" * 500_000
    yield "settings.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000 " + b"x:y " * DEEP + b"\nA.\n"
    yield (
        "wide.ass",
        b"[Script Info]\nScriptType: v4.00+\n[Events]\nFormat: "
        + b"A," * DEEP
        + b"\nDialogue: "
        + b"," * DEEP,
    )
    yield "deep.json", b"[" * DEEP
    yield "deep-object.json", b'{"a":' * DEEP
    yield "digits.json", b'{"schema": ' + b"9" * DEEP + b"}"
    yield "utf16.srt", cue.format(1, "A.").encode("utf-16-le")
    yield "huge-span.json", good["json"].replace(b"20000000", b"9" * 18)
    yield "endless-span.json", good["json"].replace(b"20000000", b"9" * 300)


def casts(seed: int, secret: Path, url: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of made-bad cast files."""
    good = json.dumps({"cast": [{"name": "Mara", "images": [], "aliases": ["M"], "pronoun": "she"}]}).encode()
    draw = random.Random(f"cast {seed}")
    for number in range(30):
        yield f"cast-{number}.json", mutated(good, draw)
    images = [
        str(secret),
        "../outside/secret.png",
        secret.as_uri(),
        url,
        "link.png",
        "/dev/zero",
        ".",
        "",
        "\0",
        "a" * 5000,
        "//host/x.png",
    ]
    for number, image in enumerate(images):
        yield f"image-{number}.json", json.dumps({"cast": [{"name": "A", "images": [image]}]}).encode()
    yield "deep.json", b"[" * DEEP
    yield "deep-object.json", b'{"cast":' * DEEP
    yield "digits.json", b'{"cast": ' + b"9" * DEEP + b"}"
    yield "surrogate.json", b'{"cast": [{"name": "\\ud800", "images": []}]}'
    yield "keys.json", b'{"cast": [], "cast": [{"name": "A", "images": [], "name": 3}]}'
    yield (
        "pattern.json",
        json.dumps({"cast": [], "pronunciations": {"(a+)+$": "a" * 5000, "": "x", "\\": "["}}).encode(),
    )
    yield "many.json", json.dumps({"cast": [{"name": f"N{n}", "images": []} for n in range(20_000)]}).encode()


def settings(seed: int) -> Iterator[tuple[str, bytes]]:
    """Contents of made-bad avtool.toml."""
    draw = random.Random(f"settings {seed}")
    good = b'preset = "film"\nrate = 175\nlanguage = "en"\nloudness = "ebu"\n'
    for number in range(20):
        yield f"settings-{number}", mutated(good, draw)
    yield "deep", b"a = " + b"[" * DEEP
    yield "digits", b"rate = " + b"9" * 20_000
    yield "table", b"[rate]\na = 1\n"
    yield "infinite", b"rate = inf\nlead_in = nan\n"
    yield "dots", b".".join([b"a"] * DEEP) + b" = 1"
