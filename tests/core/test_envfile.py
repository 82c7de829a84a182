"""Variables in a file."""

from pathlib import Path

import pytest

from agenthub.core.env import EnvError
from agenthub.core.envfile import FileEnvironment, file_variables, parsed


def test_lines_are_names_and_values() -> None:
    text = "# a comment\n\nA=1\nexport B = two words \nC='single # kept'\nD=\"double\"\nE=\nF=x=y\n"
    assert parsed(text, "f") == {"A": "1", "B": "two words", "C": "single # kept", "D": "double", "E": "", "F": "x=y"}


@pytest.mark.parametrize("line", ["nonsense", "1A=x", "=x", "A B=x", "A=\0"])
def test_a_bad_line_is_named_but_not_shown(line: str) -> None:
    with pytest.raises(EnvError, match=r"line 2 of f is not NAME=value\.$"):
        parsed(f"GOOD=1\n{line}\n", "f")


def test_the_environment_wins_over_the_file_also_when_it_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=file\nB=file\n")
    environ = {"AGENTHUB_ENV_FILE": str(file), "A": "own"}
    source = FileEnvironment(environ)
    assert (environ["A"], environ["B"]) == ("own", "file")
    file.write_text("A=new\nB=new\nC=new\n")
    assert source.read() == {"AGENTHUB_ENV_FILE": str(file), "A": "own", "B": "new", "C": "new"}
    file.write_text("")
    assert "B" not in source.read()


def test_without_a_file_nothing_is_added() -> None:
    assert file_variables({}) == file_variables({"AGENTHUB_ENV_FILE": ""}) == {}


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="AGENTHUB_ENV_FILE"):
        file_variables({"AGENTHUB_ENV_FILE": str(tmp_path / "missing")})
    (tmp_path / "bad").write_bytes(b"A=\xff")
    with pytest.raises(EnvError, match="not UTF-8"):
        file_variables({"AGENTHUB_ENV_FILE": str(tmp_path / "bad")})
    (tmp_path / "large").write_bytes(b"#" * 1024 * 1025)
    with pytest.raises(EnvError, match="larger than"):
        file_variables({"AGENTHUB_ENV_FILE": str(tmp_path / "large")})
