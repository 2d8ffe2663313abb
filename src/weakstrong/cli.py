"""The command line, where faulty input gives a message of one line and exit code 2."""

from __future__ import annotations

import sys
import warnings

from cyclopts import App, CycloptsError

from weakstrong import __version__
from weakstrong.commands.molecules import convert, embed, leakage, pretrain
from weakstrong.commands.reproduce import reproduce
from weakstrong.commands.student import fit, predict
from weakstrong.commands.study import study
from weakstrong.errors import InputError, RenamedWarning

app = App(
    name="weakstrong",
    help="Quantify, predict and steer weak-to-strong generalization.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main says which commands resume
)
for verb in (fit, predict, study, reproduce, pretrain, convert, embed, leakage):
    app.command(verb)


def main() -> None:
    """Run a command; faulty input gives one line on stderr and exit code 2."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", RenamedWarning)
            warnings.showwarning = _in_one_line
            app(sys.argv[1:], exit_on_error=False, print_error=False)
    except (InputError, CycloptsError, OSError) as error:  # OSError: a full disk, a file taken away
        flags = [f"--{name.replace('_', '-')}" for name in getattr(error, "settings", ())]
        remedy = f" ({', '.join(flags)})" if flags else ""
        print("weakstrong: " + " ".join(str(error).split()) + remedy, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "weakstrong: interrupted; study --out, reproduce, pretrain and embed go on where they stopped",
            file=sys.stderr,
        )
        sys.exit(130)


def _in_one_line(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """Show a warning of this package as a note of one line, and any other as Python does."""
    if issubclass(category, RenamedWarning):
        print(f"weakstrong: note: {message}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *where[:2]))  # type: ignore[arg-type]
