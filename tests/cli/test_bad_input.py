"""What bad input gets: one clear line, the exit code of its kind, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from avtool.cli.main import run

EXAMPLES = Path(__file__).parents[2] / "examples"
FILM = EXAMPLES / "the-quiet-street.mp4"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs a command line; gives its exit code and the one line it says."""

    def tell(*arguments: str | Path) -> tuple[int, str]:
        before = listing(tmp_path)
        code = run([*map(str, arguments), "--work", str(tmp_path / "work")])
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        assert said.out == ""
        assert not [name for name in listing(tmp_path) - before if "part" in name or name.endswith(".srt")]
        lines = said.err.strip().splitlines()
        assert len(lines) == 1, said.err
        return code, lines[0]

    return tell


def listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the example film."""
    film = tmp_path_factory.mktemp("film") / "stub.mp4"
    ffmpeg("-ss", "8", "-t", "2", "-i", FILM, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", film)
    return film


def test_missing_film_suggests_the_nearest_name(told, tmp_path: Path):
    shutil.copy(EXAMPLES / "cast.json", tmp_path / "cast.json")
    (tmp_path / "movie.mp4").write_bytes(b"x")
    code, line = told("describe", tmp_path / "movei.mp4")
    assert code == 4
    assert "movei.mp4" in line
    assert "movie.mp4" in line


def test_folder_without_films(told, tmp_path: Path):
    code, line = told("describe", tmp_path)
    assert code == 4
    assert "no films" in line


def test_empty_file(told, tmp_path: Path):
    film = tmp_path / "film.mp4"
    film.touch()
    code, line = told("describe", film)
    assert code == 4
    assert "empty" in line


def test_text_named_mp4(told, tmp_path: Path):
    film = tmp_path / "film.mp4"
    film.write_text("INT. KITCHEN - DAY\n" * 100)
    code, line = told("describe", film)
    assert code == 4
    assert "film.mp4" in line


def test_truncated_mp4(told, tmp_path: Path, stub: Path):
    film = tmp_path / "film.mp4"
    film.write_bytes(stub.read_bytes()[: stub.stat().st_size // 2])  # the moov box is at the end
    code, line = told("describe", film)
    assert code == 4
    assert "film.mp4" in line


def test_sound_only(told, tmp_path: Path):
    film = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", film)
    code, line = told("describe", film)
    assert code == 4
    assert "no video" in line or "no picture" in line


def test_video_stream_without_frames(told, tmp_path: Path):
    film = tmp_path / "film.avi"
    ffmpeg("-f", "lavfi", "-i", "color=d=1", "-c:v", "mpeg4", "-t", "0", film)
    assert told("describe", film)[0] == 4


def cast_file(folder: Path, **changes) -> Path:
    shutil.copytree(EXAMPLES / "cast", folder / "cast", dirs_exist_ok=True)
    cast = json.loads((EXAMPLES / "cast.json").read_text())
    cast["cast"][0].update(changes)
    file = folder / "cast.json"
    file.write_text(json.dumps(cast))
    return file


def test_malformed_cast(told, tmp_path: Path, stub: Path):
    file = tmp_path / "cast.json"
    file.write_text('{"cast": [\n {"name": "A",}\n]}')
    code, line = told("describe", stub, "--cast", file)
    assert code == 2
    assert "line 2" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nmae": "x"}, ("nmae", "name")),
        ({"images": ["cast/gone.png"]}, ("gone.png",)),
        ({"images": ["../../etc/passwd"]}, ("outside", "--allow-outside")),
        ({"name": "Ellen Ross"}, ("Ellen Ross",)),
    ],
)
def test_wrong_cast(told, tmp_path: Path, stub: Path, changes, words):
    code, line = told("describe", stub, "--cast", cast_file(tmp_path, **changes))
    assert code == 2
    assert all(word in line for word in words), line


def test_portrait_without_a_face_and_with_two(told, tmp_path: Path, stub: Path):
    from PIL import Image

    blank, double = tmp_path / "cast" / "blank.png", tmp_path / "cast" / "double.png"
    cast = cast_file(tmp_path, images=["cast/blank.png"])
    Image.new("RGB", (300, 300), "gray").save(blank)
    code, line = told("describe", stub, "--cast", cast)
    assert code == 2
    assert "no face" in line
    assert "blank.png" in line

    cast = cast_file(tmp_path, images=["cast/double.png"])
    faces = [
        Image.open(EXAMPLES / "cast" / f"{name}.png").convert("RGB").resize((400, 400))
        for name in ("marcus", "ellen")
    ]
    pair = Image.new("RGB", (800, 400))
    for number, face in enumerate(faces):
        pair.paste(face, (400 * number, 0))
    pair.save(double)
    code, line = told("describe", stub, "--cast", cast)
    assert code == 2
    assert "two faces" in line or "2 faces" in line


def test_unknown_format(told, stub: Path):
    code, line = told("describe", stub, "--format", "srtt")
    assert code == 2
    assert "srt" in line


def test_subtitles_that_do_not_parse(told, tmp_path: Path, stub: Path):
    file = tmp_path / "dialogue.srt"
    file.write_text("this is no subtitle file\n")
    code, line = told("describe", stub, "--subtitles", file)
    assert code == 2
    assert "dialogue.srt" in line


def test_unwritable_output_is_told_before_the_work(told, tmp_path: Path, stub: Path):
    (tmp_path / "file").touch()
    code, line = told("describe", stub, "-o", tmp_path / "file" / "out.srt")
    assert code == 2
    assert "cannot write" in line
    assert not (tmp_path / "work").exists()


def test_an_input_is_never_written_over(told, tmp_path: Path, stub: Path):
    film, cast = tmp_path / "film.mp4", cast_file(tmp_path)
    shutil.copy(stub, film)
    for target in (film, cast):
        before = target.read_bytes()
        code, line = told("describe", film, "--cast", cast, "--format", "srt", "-o", target)
        assert code == 2
        assert "is the input itself" in line
        assert target.read_bytes() == before


def test_film_that_is_described_already(told, tmp_path: Path, stub: Path):
    film = tmp_path / "film.mkv"
    ffmpeg("-i", stub, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy",
           "-disposition:a:1", "visual_impaired", film)  # fmt: skip
    code, line = told("describe", film)
    assert code == 2
    assert "audio description track already" in line


@pytest.mark.parametrize(
    ("verb", "room"),
    [
        *(("describe", room) for room in (0, 600, 3000)),
        *(("voice", room) for room in (20_000, 90_000, 300_000)),  # less than a clip, the mix, the film
    ],
)
def test_full_disk(tmp_path: Path, stub: Path, verb: str, room: int):
    """No file may grow over `room` bytes: the system refuses to write more, as it does on a full disk."""
    script = (
        "import resource, sys; from avtool.cli.main import run; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY)); sys.exit(run(sys.argv[1:]))"
    )
    cues = tmp_path / "cues.txt"
    cues.write_text("1\n00:00:00,100 --> 00:00:00,900\nA cat.\n")
    arguments = {
        "describe": [stub, "-o", tmp_path / "out.srt"],
        "voice": [cues, stub, "--mux", "-o", tmp_path],
    }[verb]
    ended = subprocess.run(
        [sys.executable, "-c", script, verb, *map(str, arguments), "--work", str(tmp_path / "work")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 7, ended.stderr
    assert ended.stderr.count("\n") == 1 and "disk is full" in ended.stderr
    assert ended.stdout == ""
    assert not [
        name for name in listing(tmp_path) if "part" in name or name.endswith((".srt", "described.mp4"))
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("describe", FILM, "--from", "x"), "no time"),
        (("describe", FILM, "--from", "99:00:00"), "ends at"),
        (("describe", FILM, "-p", "flim"), "film"),
        (("describe", FILM, "--set", "rte=1"), "rate"),
        (("describe", FILM, "--audio-track", "7"), "audio track"),
        (("describe", FILM, "--cast", "nowhere.json"), "nowhere.json"),
        (("describe", FILM, "--subtitles", "nowhere.srt"), "nowhere.srt"),
    ],
)
def test_wrong_command_lines(told, arguments, words):
    code, line = told(*arguments)
    assert code == 2
    assert words in line


def test_one_frame_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    film = tmp_path / "film.mp4"
    ffmpeg("-i", FILM, "-frames:v", "1", "-an", film)
    assert run(["describe", str(film), "--work", str(tmp_path / "work")]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_film_without_sound_is_all_gap(tmp_path: Path, stub: Path, capsys: pytest.CaptureFixture[str]):
    film = tmp_path / "film.mp4"
    ffmpeg("-i", stub, "-an", "-c", "copy", film)
    assert run(["gaps", str(film), "--work", str(tmp_path / "work"), "--json"]) == 0
    (gap,) = json.loads(capsys.readouterr().out)["records"]
    assert (gap["left"], gap["right"]) == ("edge", "edge")


def test_damage_in_the_middle_is_told_with_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    film = tmp_path / "film.mkv"
    ffmpeg("-t", "12", "-i", FILM, "-c", "copy", film)
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    for at in range(middle, middle + 200_000, 7):
        content[at] ^= 0x5A
    film.write_bytes(content)
    assert run(["describe", str(film), "--work", str(tmp_path / "work")]) == 0
    said = capsys.readouterr().err
    assert "cannot be decoded from 0:00:" in said
    assert (tmp_path / "film.en.ad.srt").exists()


def test_several_films_and_one_broken(tmp_path: Path, stub: Path, capsys: pytest.CaptureFixture[str]):
    good, bad = tmp_path / "good.mp4", tmp_path / "bad.mp4"
    shutil.copy(stub, good)
    bad.write_text("no film")
    assert run(["shots", str(bad), str(good), "--json", "--work", str(tmp_path / "work")]) == 6
    said = capsys.readouterr()
    assert json.loads(said.out)["film"] == str(good)
    assert "1 of 2 films failed" in said.err
