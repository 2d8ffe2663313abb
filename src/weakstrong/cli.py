"""The command line, where faulty input gives a message of one line and exit code 2."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings

from cyclopts import App, CycloptsError

from weakstrong import __version__
from weakstrong.commands.measure import measure
from weakstrong.commands.molecules import convert, embed, leakage, pretrain
from weakstrong.commands.reproduce import reproduce
from weakstrong.commands.student import fit, predict
from weakstrong.commands.study import study
from weakstrong.errors import InputError, RenamedWarning, UnlikeRowsWarning, printable

_TRACEBACK = "--traceback"
_SIGPIPE = 128 + 13  # the exit code of a program that a closed pipe ends
# OSError: a full disk, a file taken away.
_FAULTS_OF_INPUT = (InputError, CycloptsError, OSError, MemoryError)

app = App(
    name="weakstrong",
    help="Quantify, predict and steer weak-to-strong generalization.\n\n"
    f"Faulty input ends in one line and exit code 2; after any error, {_TRACEBACK} shows where it arose.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main says which commands resume
)
for verb in (fit, predict, study, measure, reproduce, pretrain, convert, embed, leakage):
    app.command(verb)


def main() -> None:
    """Run a command; faulty input gives one line on stderr and exit code 2, a defect one line and 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding lacks is shown as an escape
            stream.reconfigure(errors="backslashreplace")
    arguments = [argument for argument in sys.argv[1:] if argument != _TRACEBACK]
    try:
        with warnings.catch_warnings():
            for category in (RenamedWarning, UnlikeRowsWarning):
                warnings.simplefilter("always", category)
            warnings.showwarning = _in_one_line
            app([_path_of_home(a) for a in arguments], exit_on_error=False, print_error=False)
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as with | head; what is written is written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_SIGPIPE)
    except KeyboardInterrupt:
        _say("interrupted; study --out, reproduce, pretrain and embed go on where they stopped")
        sys.exit(130)
    except Exception as error:
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exc()
        _say(_fault(error))
        sys.exit(2 if isinstance(error, _FAULTS_OF_INPUT) else 1)


def _fault(error: Exception) -> str:
    """Say in one line what went wrong, and what to do about it."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not memory enough ({text or 'for this input'}); give less of it, or use a larger machine"
    if isinstance(error, _FAULTS_OF_INPUT):
        flags = [f"--{name.replace('_', '-')}" for name in getattr(error, "settings", ())]
        return text + (f" ({', '.join(flags)})" if flags else "")
    return (
        f"a defect of weakstrong {__version__}: {type(error).__name__}: {text or 'no message'}; please "
        f"report it with the command and what {_TRACEBACK} shows"
    )


def _path_of_home(argument: str) -> str:
    """Put the home folder in place of ~, which a shell leaves alone after =; refuse what is not UTF-8."""
    if not argument.isprintable() and any("\ud800" <= c <= "\udfff" for c in argument):
        raise InputError(f"{argument}: is not UTF-8, and records are; rename it")
    flag, equals, path = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return flag + equals + (os.path.expanduser(path) if path.startswith(("~/", "~\\")) else path)


def _say(line: str) -> None:
    print(f"weakstrong: {printable(line)}", file=sys.stderr)


def _in_one_line(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """Show a warning of this package as a note of one line, and any other as Python does."""
    if issubclass(category, RenamedWarning | UnlikeRowsWarning):
        _say(f"note: {message}")
    else:
        text = warnings.formatwarning(message, category, *where[:2])  # type: ignore[arg-type]
        sys.stderr.write(printable(text, keep="\n"))
