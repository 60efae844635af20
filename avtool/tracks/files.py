"""Text files as tracks need them: read with care, written whole or not at all, one clean line a cue."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

from avtool.errors import UsageError
from avtool.media.container import nearest
from avtool.workspace import replacing

LARGEST = 64 * 1024 * 1024  # bytes; the script of a long film with all its evidence is a tenth of it


def load_bytes(path: Path) -> bytes:
    """The bytes of a text file. Raises UsageError where it is missing, a folder, empty, or absurdly large."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UsageError(
                f"{path} has {size} bytes, too many for a script; give the text file of the track"
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist{nearest(path) or '; check the name'}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if not content.strip():
        raise UsageError(f"{path} is empty")
    return content


def load(path: Path) -> str:
    """The text of `path`: UTF-8, or UTF-16 with its byte order mark; line ends become LF.

    No other encoding is guessed, for a wrong guess puts wrong names into dialogue. Raises UsageError.
    """
    content = load_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path}, line {line}: not {encoding[:6].upper()} text; save it as UTF-8 and try again"
        ) from None
    if "\0" in text:
        raise UsageError(f"{path} is not a text file; give an SRT, WebVTT, ASS or DAPT file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def save(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` whole or not at all; text as UTF-8, NFC, without byte order mark.

    Raises UsageError where the folder cannot be written to, ResourceError where the disk is full.
    """
    if isinstance(content, str):
        content = unicodedata.normalize("NFC", content).encode("utf-8")
    with replacing(path) as beside:
        beside.write_bytes(content)


def notice(language: str) -> str:
    """What every file says of itself."""
    return f"Audio description ({language}). Draft by machine, not reviewed."


def one_line(text: str) -> str:
    """`text` in NFC on one line, without the characters that no track format can hold.

    Those are control characters, lone surrogates and U+FFFE and U+FFFF (XML 1.0, section 2.2).
    """
    held = (c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return unicodedata.normalize(
        "NFC", " ".join("".join(held).split()).translate({0xFFFE: None, 0xFFFF: None})
    )
