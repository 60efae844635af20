"""The command line: Typer commands over the library, and how every ending is told."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import traceback
from pathlib import Path

import typer

from avmodels.errors import ModelsError
from avtool import __version__
from avtool.cli import (
    characters,
    check,
    config,
    describe,
    detect,
    doctor,
    evaluate,
    find,
    models,
    probe,
    report,
    retime,
    stages,
    stats,
    tag,
    tags,
    talk,
    voice,
    weights,
)
from avtool.errors import AvtoolError, MissingError, ResourceError
from avtool.interrupt import graceful
from avtool.workspace import FULL, cannot_write

INTERRUPTED = 130

app = typer.Typer(
    help="Makes films accessible to people who cannot see them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"avtool {__version__}")
        raise typer.Exit


@app.callback()
def _app(
    version: bool = typer.Option(False, "--version", callback=_version, help="Print the version."),
    log_json: bool = typer.Option(False, "--log-json", help="Warnings and errors as JSON, an object a line."),
) -> None:
    talk.in_json(log_json)


app.command("describe")(describe.describe)
app.command("detect")(detect.detect)
app.command("voice")(voice.voice)
app.command("retime")(retime.retime)
app.command("report")(report.report)
app.command("check")(check.check)
app.command("probe")(probe.probe)
stages.add_to(app)
app.command("tags")(tags.tags)
app.command("tag")(tag.tag)
app.command("find")(find.find)
app.add_typer(characters.app, name="characters")
models.add_to(app, weights.app)
app.add_typer(evaluate.app, name="eval")
app.add_typer(weights.app, name="weights")
app.add_typer(config.app, name="config")
app.command("stats")(stats.stats)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; the exit code tells how it ended (see `avtool.errors`)."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error is one line on stderr."""
    try:
        with graceful(lambda: talk.tell("finishing the stage under way; Ctrl-C again stops now", "info")):
            code = app(arguments, prog_name="avtool", standalone_mode=False) or 0
            if code == INTERRUPTED:  # what Typer makes of Ctrl-C
                raise KeyboardInterrupt
            return code
    except (AvtoolError, ModelsError) as error:
        talk.tell(str(error))
        return error.exit_code
    except typer.TyperException as error:
        talk.tell(f"{error}; see `avtool --help`")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        talk.tell(f"interrupted; what is done is kept, go on with: avtool {shlex.join(arguments)}")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        talk.tell(f"the package {error.name} is missing: pip install 'avtool[embedded,voice]'")
        return MissingError.exit_code
    except MemoryError:
        talk.tell("out of memory; close other programs, or describe a part with --from and --to")
        return ResourceError.exit_code
    except OSError as error:
        if "No usable temporary directory" in str(error):  # Python tried to write in each of them
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a temporary file")
        if error.filename is None and error.errno not in FULL:
            return _bug()
        told = cannot_write(Path(error.filename or "a file"), error)
        talk.tell(str(told))
        return told.exit_code
    except Exception:  # noqa: BLE001 - the last resort: whatever it is, the user gets one line
        return _bug()


def _bug() -> int:
    """Keep the traceback in a log; tell where."""
    from platformdirs import user_log_path

    bug, log = sys.exc_info()[1], user_log_path("avtool") / "error.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(bug)), encoding="utf-8")
        where = f"the log is {log}"
    except OSError as error:
        where = f"no log, since {log} cannot be written ({error.strerror})"
    talk.tell(f"unexpected error, a bug of avtool: {bug!r}; {where}")
    return AvtoolError.exit_code
