"""pulse/parts.py: which row is the header."""

import pytest

from pulse.parts import find_header


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([["a", "b"], ["1", "2"]], 0),
        ([["Title"], [], ["a", "b"], ["1", "2"]], 2),
        ([["Title", "2024"], ["a", "b", "c", "d"], ["1", "2", "3", "4"]], 1),  # two of four are not more than half
        (
            [["a", "", "c", ""], ["1", "", "", ""], ["1", "", "3", ""]],
            0,
        ),  # a width of three, without the blank end
        ([["only"], ["1"]], 0),
        ([["Title"], ["a", "b"]], 1),
        ([["a", "b", "c"], ["1", " ", "3"]], 0),
        ([["a", "b"], ["1", "2"], ["1", "2", "", "", "", "", "a note"]], 0),
        ([[], [" "]], None),
        ([], None),
    ],
)
def test_the_header_is_the_first_row_with_more_than_half_of_the_cells(rows, header):
    assert find_header(rows) == header
