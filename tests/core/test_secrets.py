"""The secrets that an embedded hub makes for itself."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agenthub.core.secrets import FILE_NAME, GENERATORS, private_folder, stored_secrets

NAMES = tuple(GENERATORS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_they_are_made_once_and_only_their_user_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "data"
    made = stored_secrets(folder, NAMES)
    assert stored_secrets(folder, NAMES) == made
    assert (mode(folder), mode(folder / FILE_NAME)) == (0o700, 0o600)
    assert len(set(made.values())) == len(NAMES)


def test_many_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: stored_secrets(tmp_path / "data", NAMES), range(40)))
    assert all(one == found[0] for one in found)


def test_a_missing_one_is_added_and_the_others_stay(tmp_path: Path) -> None:
    first = stored_secrets(tmp_path, NAMES[:1])
    both = stored_secrets(tmp_path, NAMES[:2])
    assert both[NAMES[0]] == first[NAMES[0]]
    assert stored_secrets(tmp_path, NAMES)[NAMES[1]] == both[NAMES[1]]


def test_what_a_person_has_written_into_the_file_counts(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("# mine\nAGENTHUB_SECRET_KEY = chosen \n\nother=1\n")
    assert stored_secrets(tmp_path, ["AGENTHUB_SECRET_KEY"]) == {"AGENTHUB_SECRET_KEY": "chosen"}


def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    private_folder(folder)
    assert mode(folder) == 0o700
