"""pulse/progress.py: what a terminal shows while something takes long, and that nothing else sees it."""

import os
import pty
import re
import subprocess
import sys
import termios

from common import ROOT

WORK = """
import sys, time
from common import fail, say
from pulse.progress import bar, clock

@clock("At once")
def quick():
    say("Quick", "done")

quick()
with clock("Learning"):
    time.sleep(1.4)
    say("Read", "some " * 20)
    for n in bar(range(3), "Reading", "range"):
        time.sleep(0.2)
    fail("This is wrong.")
"""


def in_a_terminal(code: str) -> str:
    """What the code prints on a terminal of 80 columns."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        termios.tcsetwinsize(0, (24, 80))
        os.environ.pop("COLUMNS", None)
        os.execv(sys.executable, [sys.executable, "-c", code])
    printed = b""
    try:
        while piece := os.read(terminal, 65536):
            printed += piece
    except OSError:  # it has ended
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return printed.decode()


def test_a_terminal_shows_what_goes_on_and_keeps_what_was_said():
    printed = in_a_terminal(WORK)
    assert "At once" not in printed  # what ends within a second
    assert re.search(r"\rLearning: 00:01", printed)
    assert "Reading:   0%" in printed
    frames = [line.split("\r")[-1] for line in printed.replace("\r\n", "\n").split("\n")]
    said = [frame for frame in frames if re.match(r"[A-Z]\w+ {2,}|Error| {10}\w", frame)]
    some = ["Read      " + " ".join(["some"] * 14), " " * 10 + " ".join(["some"] * 6)]
    assert said == ["Quick     done", *some, "Error: This is wrong."]
    assert frames[-1].strip() == ""  # nothing is left of a bar


def test_elsewhere_nothing_is_shown():
    done = subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "Quick     done\nRead      " + "some " * 20 + "\n"
    assert done.stderr == "Error: This is wrong.\n"
