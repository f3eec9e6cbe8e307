"""pulse/scratch.py: what exceeds memory lies beside the data, is gone afterwards, and a full disk is named."""

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import duckdb
import pytest
from conftest import SCRIPTS, environment, run

from common import ROOT
from pulse.scratch import LOCK, PREFIX, is_full, remove_abandoned, scratch_folder

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


AGAIN_AND_AGAIN = """
import pathlib, sys
from pulse.scratch import scratch_folder
for n in range(int(sys.argv[2])):
    with scratch_folder(pathlib.Path(sys.argv[1]), "room") as scratch:
        assert scratch.with_suffix(".lock").exists()
        for name in "abcdefghijklmnop":
            (scratch / name).write_text("spilt")
            assert (scratch / name).exists()
    print(n, flush=True)
"""


def again_and_again(place: Path, times: int) -> subprocess.Popen:
    """A script that has a folder in this place so many times, and says when each has gone."""
    command = [sys.executable, "-c", AGAIN_AND_AGAIN, place, str(times)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.slow
def test_what_scripts_killed_at_any_moment_left_goes_at_the_next_start(tmp_path):
    moment, left = random.Random(1), 0
    for _ in range(20):
        with again_and_again(tmp_path, 1_000_000) as script:
            script.stdout.readline()
            time.sleep(moment.uniform(0, 0.005))
            script.kill()
        left += len(list(tmp_path.glob(f"{PREFIX}*/*")))
    assert left > 0
    (tmp_path / f"{PREFIX}file").write_text("somebody else's")
    (tmp_path / f"{PREFIX}folder").mkdir()
    (tmp_path / f"{PREFIX}folder" / "orders.csv").write_text("somebody else's")
    with scratch_folder(tmp_path, "room") as scratch:
        kept = [tmp_path / f"{PREFIX}{name}" for name in ("file", "folder")]
        assert sorted(tmp_path.iterdir()) == sorted([scratch, scratch.with_suffix(LOCK), *kept])
    assert [path.name for path in kept[1].iterdir()] == ["orders.csv"]


def test_what_a_script_killed_while_it_removed_its_folder_left_goes_at_the_next_start(tmp_path):
    """All that can be left then: a part of the folder, or the lock alone."""
    for name in ("part", "gone"):
        (tmp_path / f"{PREFIX}{name}{LOCK}").touch()
    (tmp_path / f"{PREFIX}part").mkdir()
    (tmp_path / f"{PREFIX}part" / "spilt").write_text("x")
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_scripts_that_start_and_end_at_once_leave_each_other_alone(tmp_path):
    started = [again_and_again(tmp_path, 300) for _ in range(4)]
    for script in started:
        script.communicate()
    assert [script.returncode for script in started] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_speaks_of_a_full_disk_is_none():
    with duckdb.connect() as con, pytest.raises(duckdb.Error) as raised:
        con.execute("SELECT 'No space left'::DOUBLE").fetchall()
    assert "No space left" in str(raised.value)
    assert not is_full(raised.value)


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
