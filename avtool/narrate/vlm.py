"""A vision-language model as the narrator, untrained for it, in two stages as AutoAD-Zero (arXiv 2407.15850): first what
is to be seen in a clip, plainly and in full; then one sentence of audio description within the words a pause has.

The model is a folder of the transformers library; nothing is fetched. It is shown frames of one shot, in which those
whom the sense for characters knows are framed in colours, and told whose colour is whose, what the camera does, what
is said around, and what was told before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from avmodels.uni_ad.frames import Extractor, digest
from avtool.errors import MissingError, UsageError
from avtool.narrate import facts, sentences
from avtool.narrate.clips import Clip, clips
from avtool.timeline import SECOND, Candidate, Film, Track

if TYPE_CHECKING:
    from avtool.perception import Perception
    from avtool.settings import Settings

FRAMES = 8  # of a clip that are shown
HEIGHT = 336  # pixels, of a frame that is shown
SEEN = 192  # tokens of the first answer, at most
TOKENS = 2.0  # of a word and its punctuation, at most on average
HEARD = 10 * SECOND  # dialogue as near as that is given
BEFORE = 3  # sentences told before that are given
COLOURS = {"red": (230, 30, 30), "green": (30, 200, 60), "blue": (40, 90, 250), "yellow": (250, 220, 30)}


class VLM:
    """The narrator. The model is loaded when the film has been seen."""

    extractor: Extractor | None = None

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Raises MissingError where the folder holds no model."""
        try:
            AutoConfig.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise MissingError(
                f"there is no vision-language model of the transformers library at {folder}; "
                "avtool fetches none: name the folder that holds its files"
            ) from error
        self._folder, self._settings = folder, settings
        self.weights: dict[str, str] = {folder.name: digest(*sorted(folder.glob("*.safetensors")))}

    @cached_property
    def _talker(self) -> Talker:
        return Talker(self._folder, self._settings)

    def candidates(self, seen: Perception, film: Film) -> list[Candidate]:
        facts.english_only(self._settings)
        told: list[tuple[Clip, list[tuple[str, float]]]] = []
        before: list[str] = []
        report = seen.report("narrating")
        for clip in clips(film, seen.cast, self._settings):
            found = self._sentence(clip, before[-BEFORE:], seen, film)
            told.append((clip, found))
            before += [text for text, _ in found]
            report(clip.span.end - film.span.start)
        found = sentences.candidates(told, film, self._folder.name)
        return sorted([*found, *facts.read_texts(film, len(told))], key=lambda one: one.event)

    def _sentence(
        self, clip: Clip, before: Sequence[str], seen: Perception, film: Film
    ) -> list[tuple[str, float]]:
        """What may be said of a clip, if anything."""
        from avtool.media.frames import grab

        source = seen.source
        times = np.linspace(clip.span.start, clip.span.end - 1, FRAMES).astype(int).tolist()
        width = round(HEIGHT * source.picture.width / source.picture.height)
        frames = grab(source, times, (HEIGHT, width))
        tracks = {track.id: track for track in film.tracks}
        framed = {
            colour: (fact.claim, tracks[fact.tracks[0]])
            for colour, fact in zip(COLOURS, [fact for fact in clip.people if fact.tracks], strict=False)
        }
        for time, frame in zip(times, frames, strict=True):
            for colour, (_, track) in framed.items():
                frame_person(frame, track, time, COLOURS[colour])
        dense, _ = self._talker(look_closely(clip, framed, film), list(frames), SEEN)
        if not dense.strip():
            return []
        text, probability = self._talker(tell(clip, dense, before, film), [], round(clip.words * TOKENS))
        said = sentences.sayable(text, False, clip, seen.cast)
        return [(said, probability)] if said and probability >= self._settings.narrator_confidence else []


def frame_person(frame: np.ndarray, track: Track, time: int, colour: tuple[int, int, int]) -> None:
    """Draws a person's box, as near to `time` as it was seen, into frame (height, width, 3)."""
    near = min(range(len(track.times)), key=lambda number: abs(track.times[number] - time))
    if abs(track.times[near] - time) > SECOND:
        return
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = track.boxes[near]
    corners = (round(x0 * width), round(y0 * height)), (round(x1 * width), round(y1 * height))
    cv2.rectangle(frame, *corners, colour, 3)


def look_closely(clip: Clip, framed: dict[str, tuple[str, Track]], film: Film) -> str:
    """The first question: what is to be seen."""
    look = next((look for look in film.looks if look.shot == clip.shot), None)
    lines = [f"These {FRAMES} frames are of one shot of a film, in order."]
    if look and look.scale:
        lines.append(f"It is a {look.scale}; the camera is {look.camera}.")
    lines += [f"The person in the {colour} frame is {plain(name)}." for colour, (name, _) in framed.items()]
    unframed = [name for name in clip.names if name not in [known for known, _ in framed.values()]]
    if unframed:
        lines.append(f"Also seen: {', '.join(map(plain, unframed))}.")
    lines.append(
        "List only what can be seen, a fact a line: who is there and what each person does with body, hands and eyes; "
        "how they move toward or away from each other; the place and the objects that matter. Do not guess names, "
        "feelings or reasons."
    )
    return "\n".join(lines)


def tell(clip: Clip, dense: str, before: Sequence[str], film: Film) -> str:
    """The second question: one sentence within the budget."""
    near = clip.span.grow(HEARD, HEARD)
    heard = " ".join(one.text for one in film.speech if one.text and one.span.overlap(near))
    names = ", ".join(map(plain, clip.names)) or "nobody: write someone, a man, a woman"
    lines = [
        "You write audio description for people who cannot see a film.",
        f"Seen in this shot:\n{plain_lines(dense)}",
        f"People who may be named: {names}.",
    ]
    lines += [f"Said around it: {plain(heard)}"] if heard else []
    lines += [f"Told before, not to be told again: {plain(' '.join(before))}"] if before else []
    lines.append(
        f"Write one sentence of at most {clip.words} words, in the present tense, of the most important action that "
        "is seen. Do not mention the camera, the shot or the frames. Answer with the sentence alone."
    )
    return "\n".join(lines)


def plain(text: str) -> str:
    """A text in one line."""
    return " ".join(text.split())


def plain_lines(text: str) -> str:
    return "\n".join(filter(None, map(plain, text.splitlines())))


class Talker:
    """The model: a question and pictures in, an answer out, and how sure its words are."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        try:
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, dtype="float32" if settings.precision == "fp32" else "bfloat16"
            ).eval()
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise MissingError(f"{folder} is no vision-language model that can be used: {reason}") from error
        if settings.precision in ("int8", "4bit"):
            raise UsageError(f"--narrator vlm has no precision {settings.precision}; use bf16 or fp32")
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")
        words = getattr(self._processor, "tokenizer", self._processor)
        if getattr(self._processor, "chat_template", None) is None and words.chat_template is None:
            raise UsageError(f"the model in {folder} has no chat template: it takes no instructions")
        self._special = sorted({*words.all_special_tokens, *words.get_added_vocab()}, key=len, reverse=True)

    @torch.inference_mode()
    def __call__(self, question: str, pictures: Sequence[np.ndarray], longest: int) -> tuple[str, float]:
        for token in self._special:  # a name or a line of dialogue must not end the question
            question = question.replace(token, "")
        content = [{"type": "image", "image": Image.fromarray(picture)} for picture in pictures]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": question}]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device, self._model.dtype)
        made = self._model.generate(
            **inputs,
            max_new_tokens=longest,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        said = made.sequences[0, inputs["input_ids"].shape[1] :]
        chances = [
            logits[0].float().log_softmax(-1)[token] for logits, token in zip(made.logits, said, strict=True)
        ]
        sure = float(torch.stack(chances).mean().exp()) if chances else 0.0
        return self._processor.decode(said, skip_special_tokens=True).strip(), sure
