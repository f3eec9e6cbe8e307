"""What pulse.files makes of files: their header and rows, or the sentence that refuses them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from pulse.files import create_file_table, open_headers

SECRET = "ann@example.com"  # no message may hold it


def read(
    *paths: Path,
    encoding: str | None = None,
    sheet: str | None = None,
    layout_encoding: str = "",
    quote: str | None = None,
) -> tuple[list[str], list[tuple]]:
    """The header, and each row: its part, its number, its texts."""
    with TemporaryDirectory() as folder, duckdb.connect(config={"threads": 2}) as con:
        opened = open_headers(list(paths), encoding, sheet, Path(folder))
        create_file_table(con, opened, layout_encoding, quote, Path(folder))
        return opened.header, con.execute("FROM file ORDER BY part, row").fetchall()


def texts(*paths: Path, **options) -> list[tuple]:
    """The rows' texts alone."""
    return [row[2:] for row in read(*paths, **options)[1]]


def refusal(capsys, *paths: Path, **options) -> str:
    """The sentence that refuses the files."""
    with pytest.raises(SystemExit) as stopped:
        read(*paths, **options)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("Error: ")
    assert message.count("\n") == 1
    assert SECRET not in message
    return message
