"""What is wrong with the embedded mongod, read from its log: one sentence, with the way out.

mongod's exit code does not tell: 100 is any failure to start, 14 any failed assertion. Its log has an
object a line, with a severity; what the shell or the loader say stands there as it is.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple


class Trouble(NamedTuple):
    """What is wrong: its kind, what an error in the log says of it, and what the user is told."""

    kind: str
    pattern: str  # its named groups can stand in the sentence, and so can folder, binary, version
    sentence: str  # goes on after "The embedded MongoDB"


LOCKED, DAMAGED = "locked", "damaged"

TOO_LITTLE = (
    "cannot get the memory or the processes that it needs: close other programs, or lift the limits of this "
    "shell (ulimit -v, ulimit -u), and run this again."
)

# In this order, as one trouble leads to others: a file that may not be read looks damaged too, say.
TROUBLES = (
    Trouble(
        LOCKED,
        "Unable to lock the lock file|already being managed by another process|used by another process",
        "is in use by another script: wait until that one has ended, or end it where it was stopped (Ctrl-Z).",
    ),
    Trouble(
        "permission",
        "Permission denied|Operation not permitted|Access is denied|[Rr]ead-only|FileNotOpen",
        "may not read or write its files in {folder}: some are another user's, as after a run with sudo, or "
        'read-only: make them yours (sudo chown -R "$USER" {folder}), and run this again.',
    ),
    Trouble(
        "open files",
        "[Tt]oo many open files|TooManyFilesOpen",
        "may not open as many files as it needs: raise this shell's limit (ulimit -n 1024), and run this again.",
    ),
    Trouble(
        "disk",
        "No space left on device|not enough space|Disk quota exceeded|FileStreamFailed",
        "has no room left for its files in {folder}: free some disk space, and run this again.",
    ),
    Trouble(
        "file size",
        "File too large|exit code 153",  # killed by SIGXFSZ
        "may not write files as large as it needs: lift this shell's limit (ulimit -f unlimited), and run this "
        "again.",
    ),
    Trouble(
        "memory",
        "Cannot allocate memory|[Oo]ut of memory|bad_alloc|JS_Init|Resource temporarily unavailable|annot fork|"
        r"terminate\(\) called. No exception is active|\Aexit code 139",  # the last two: no thread, no start
        TOO_LITTLE,
    ),
    Trouble(
        "killed",
        "exit code 137",  # by SIGKILL
        "was killed from outside, as the system does where memory runs out: close other programs, and run this "
        "again.",
    ),
    Trouble(
        "version",
        r'Wrong mongod version.*?version: \\"(?P<wrote>[\d.]+)\\"',
        "is version {version} ({binary}), and its files in {folder} are of version {wrote}: put a MongoDB that "
        "reads them on the PATH, or start afresh: move the folder away, and run step 1.",
    ),
    Trouble(
        "version",
        "Wrong mongod version|unsupported WiredTiger file version|Version incompatibility|too recent to start",
        "is version {version} ({binary}), and its files in {folder} are of another one: put a MongoDB that "
        "reads them on the PATH, or start afresh: move the folder away, and run step 1.",
    ),
    Trouble(
        "library",
        r"error while loading shared libraries: (?P<library>[^:\s]+)",
        "({binary}) needs {library}, which this computer lacks: install the package that has it (libcurl4 for "
        "libcurl.so.4), or set MONGO_URI in .env.",
    ),
    Trouble(
        DAMAGED,
        "--repair|[Cc]orrupt|WT_TRY_SALVAGE|WT_ERROR|WT_NOTFOUND|WT_PANIC|No such file or directory|"
        "(Not|Is) a directory|Input/output error|metadata file|boost::filesystem",
        "finds its files in {folder} damaged.",
    ),
    Trouble("memory", "Invalid access at address: 0", TOO_LITTLE),  # last: seen under a limit on processes
)


def find_trouble(log: Path, code: int, folder: Path, binary: str) -> Trouble | None:
    """What the log, and the exit code after it, say is wrong, its sentence filled in; None for nothing known."""
    code = code if code >= 0 else 128 - code  # as the shell says that a signal ended it
    errors = "\n".join([*read_errors(log), f"exit code {code}"])
    for trouble in TROUBLES:
        found = re.search(trouble.pattern, errors)
        if found:
            facts = {"folder": folder, "binary": binary, "version": read_version(log)} | found.groupdict()
            return trouble._replace(sentence=f"The embedded MongoDB {trouble.sentence.format(**facts)}")
    return None


def read_errors(log: Path) -> list[str]:
    """The log's lines that are errors, as they are."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if re.match(r'(?!\{)|.*?"s":"[EF]"', line) and line.strip()]


def read_version(log: Path) -> str:
    """The version of the mongod that has written the log."""
    found = re.search(r'"buildInfo":\{"version":"([\d.]+)', log.read_text(errors="replace"))
    return found[1] if found else "unknown"


def first_words(log: Path) -> str:
    """The first error in the log, in words: most often the cause of those that follow."""
    for line in read_errors(log):
        try:
            entry = json.loads(line)
        except ValueError:
            return line[:300]
        why = entry.get("attr", {})
        words = f"{entry['msg']}: {why.get('error') or why.get('reason') or why.get('message') or ''}"
        return " ".join(words.split())[:300]  # on one line
    return "its log has no error"
