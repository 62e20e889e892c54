"""out_of_fold.csv: read as it was written, and any other file is one line."""

import pytest

from util.training.out_of_fold import read_out_of_fold

TABLE = "filename,fold,truth,logit(normal),p(normal)\na.png,2,normal,0.30000000000000004,0.5\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out_of_fold.csv"


def test_numbers_are_read_to_the_last_digit(path):
    path.write_text(TABLE)
    row = read_out_of_fold(path).iloc[0]
    assert (row["fold"], row["logit(normal)"], row["p(normal)"]) == (2, 0.1 + 0.2, 0.5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TABLE.replace(",", ";").encode(),  # as a spreadsheet saves it in many countries
        TABLE.replace("0.5", '"0,5"').encode(),
        TABLE.replace(",2,", ",,").encode(),
        TABLE.encode("utf-16"),
    ],
)
def test_a_table_that_another_program_saved_is_one_line_that_says_what_to_do(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"fold.csv: not as .* writes both again") as error:
        read_out_of_fold(path)
    assert "\n" not in str(error.value)


def test_a_folder_without_one_is_not_of_a_run_whose_folds_have_ended(path):
    with pytest.raises(FileNotFoundError, match=r"no out_of_fold.csv; expected the folder of"):
        read_out_of_fold(path)
