"""How a script starts and ends: the Python and packages that it needs, what a user types, its last word.

Old Pythons must be able to read this file, without any package.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import NoReturn, TextIO

OLDEST = (3, 11)  # of the Pythons that pandas 3 and NumPy 2.4 run on
PACKAGES = (  # of requirements.txt
    *("pandas", "numpy", "faker", "pymongo", "pymongoarrow", "pyarrow", "dotenv", "tqdm", "joblib", "sklearn"),
    *("scipy", "threadpoolctl", "matplotlib", "openpyxl", "duckdb", "altair", "vl_convert"),
)

# --- what a script needs ---


def require() -> None:
    """Stop with a sentence where this Python is too old, or has not the packages."""
    missing = [name for name in PACKAGES if not find_spec(name)]
    if sys.version_info < OLDEST:
        wanted, found = (".".join(map(str, version)) for version in (OLDEST, sys.version_info[:2]))
        end(f"Error: Python {wanted} or newer is needed, and this is {found}. With a newer one: {setup()}", 2)
    if missing:
        end(f"Error: the package {missing[0]} is not installed for this Python. Run: {setup()}", 2)


def setup() -> str:
    """What to type to start this script with the Python in .venv, after README's first command where needed."""
    here = Path(sys.argv[0]).parent
    venv, lock = here / ".venv", here / "requirements.lock"
    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    script = typed(programs / "python", *sys.argv)
    if venv.exists() and venv.resolve() != Path(sys.prefix).resolve():
        return script
    make = typed("py" if os.name == "nt" else "python3", "-m", "venv", venv)
    install = typed(programs / "pip", "install", "-q", "-r", lock)
    return (" ; " if os.name == "nt" else " && ").join((make, install, script))


# --- commands ---


def command(script: str, *options: str) -> str:
    """What to type to start another script as this one was started: the same Python, from the same folder."""
    python = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv)]
    return typed(*python, Path(sys.argv[0]).with_name(script), *options)


def typed(*words: "str | Path") -> str:
    """The words as a shell takes them, in quotation marks where it needs them."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else " ".join(map(shlex.quote, texts))


# --- running ---


def run(main: "Callable[[], None]") -> None:
    """Run a script's main. Neither Ctrl-C nor output that cannot be written ends it with a traceback."""
    from common import OutputError, put

    open_streams()
    try:
        main()
    except KeyboardInterrupt:
        with suppress(OSError):
            put("Stopped.", 0, sys.stderr)  # above a bar
        sys.exit(128 + signal.SIGINT)
    except OutputError as error:
        end_output(error.__cause__)
    finally:
        drop_unwritten(sys.stderr)
        unwritten = drop_unwritten(sys.stdout)  # of what argparse has printed
        if unwritten:
            end_output(unwritten)


def open_streams() -> None:
    """Let nothing come in or go out where whoever started the script has closed a stream (>&-): else the next file
    opened would get its number, and what others print."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)  # by processes for ranges
            setattr(sys, name, os.fdopen(null, "r" if name == "stdin" else "w"))


def preload(*modules: str) -> None:
    """Import slow modules in a background thread, while MongoDB starts and answers."""

    def load() -> None:
        with suppress(Exception):  # the script's own import reports what fails here
            for name in modules:
                import_module(name)

    Thread(target=load).start()


def end_output(error: "BaseException | None") -> NoReturn:
    """End the script, since what it prints cannot be written; no error where the reader has seen enough (head)."""
    drop_unwritten(sys.stdout)
    if isinstance(error, BrokenPipeError):
        end("Stopped: nobody reads the output any more.", 128 + 13)  # SIGPIPE
    reason = getattr(error, "strerror", error)
    end(f"Error: what this script prints cannot be written ({reason}): it has stopped there.", 2)


def end(words: str, code: int) -> NoReturn:
    """The last line, and the exit code."""
    with suppress(OSError):  # nobody can read it
        print(words, file=sys.stderr, flush=True)
    drop_unwritten(sys.stderr)
    sys.exit(code)


def drop_unwritten(stream: TextIO) -> "OSError | None":
    """Why what is left to write cannot be written; then it is dropped, or Python would try again and complain."""
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
