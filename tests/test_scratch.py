"""pulse/scratch.py: what exceeds memory lies beside the data, is gone afterwards, and a full disk is named."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from conftest import SCRIPTS, environment, run

from common import ROOT
from pulse.scratch import PREFIX, remove_abandoned, scratch_folder

HEADER = "order_id,customer_id,order_date,amount\n"
CHECK = [sys.executable, ROOT / SCRIPTS[0], "--check", "--import"]


def test_the_folder_is_private_beside_the_data_and_gone_afterwards(tmp_path):
    with scratch_folder(tmp_path / "new" / "data", "room") as scratch:
        assert scratch.parent == tmp_path / "new" / "data"
        assert os.name != "posix" or scratch.stat().st_mode & 0o777 == 0o700
        (scratch / "spilt").write_text("x")
        remove_abandoned(scratch.parent)  # of another start, meanwhile
        assert (scratch / "spilt").exists()
    assert list((tmp_path / "new" / "data").iterdir()) == []


def test_what_a_killed_script_left_goes_at_the_next_start(tmp_path):
    code = (
        "import os, pathlib, signal, sys\nfrom pulse.scratch import scratch_folder\n"
        "with scratch_folder(pathlib.Path(sys.argv[1]), 'room') as scratch:\n"
        "    (scratch / 'spilt').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.glob(f"{PREFIX}*/*")] != []
    (tmp_path / f"{PREFIX}file").write_text("somebody else's")
    (tmp_path / f"{PREFIX}folder").mkdir()
    (tmp_path / f"{PREFIX}folder" / "orders.csv").write_text("somebody else's")
    with scratch_folder(tmp_path, "room") as scratch:
        kept = [tmp_path / f"{PREFIX}{name}" for name in ("file", "folder")]
        assert sorted(tmp_path.iterdir()) == sorted([scratch, *kept])
    assert [path.name for path in kept[1].iterdir()] == ["orders.csv"]


def test_scripts_that_start_and_end_at_once_leave_each_other_alone(tmp_path):
    code = (
        "import pathlib, sys\nfrom pulse.scratch import scratch_folder\n"
        "for n in range(300):\n"
        "    with scratch_folder(pathlib.Path(sys.argv[1]), 'room') as scratch:\n"
        "        for name in ('first', 'second'):\n"
        "            (scratch / name).write_text('x')\n"
        "            assert (scratch / name).exists()"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_a_look_at_a_file_is_possible(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "1,c1,2025-01-01,5\n")
    data = tmp_path / "data"
    data.write_text("a file")
    done = run(SCRIPTS[0], "--check", "--import", str(tmp_path / "a.csv"), data_dir=data)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Noted     {data} cannot be written to (File exists): what exceeds memory goes to" in done.stdout
    assert "Sold      1 orders" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_disk_too_small_for_a_copy_is_said_as_such(tmp_path):
    (tmp_path / "data").mkdir()
    with ZipFile(tmp_path / "a.zip", "w", ZIP_DEFLATED) as box:
        box.writestr("a.csv", HEADER + "1,c1,2025-01-01,5\n" * 50_000)
    limit = (200_000, 200_000)
    done = subprocess.run(
        [*CHECK, tmp_path / "a.zip"],
        env=environment(tmp_path / "data"), capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"Error: The disk of {tmp_path / 'data'} is full: what exceeds memory is kept there. Free"
    )
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [40, 150])
def test_a_disk_too_small_for_what_exceeds_memory_is_said_as_such(tmp_path, size):
    """DuckDB's own words for it tell of a setting."""
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", data]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("these tests may not mount a volume")
    try:
        write_rows(tmp_path / "a.csv")
        done = run(SCRIPTS[0], "--check", "--import", str(tmp_path / "a.csv"), data_dir=data)
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"Error: The disk of {data} is full: what exceeds memory is kept there. Free"
        )
        assert done.stderr.count("\n") == 1
        assert list(data.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", data], check=True)


def write_rows(path: Path) -> None:
    """A file several times as large as an import's share of memory."""
    with path.open("w") as file:
        file.write(HEADER)
        for n in range(0, 4_000_000, 1_000):
            file.writelines(
                f"order {k * 7919 % 9999991},customer {k % 99991},2025-01-01,5.25\n" for k in range(n, n + 1_000)
            )
