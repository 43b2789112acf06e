"""Parts of the service that need no network: names, tokens, what is accepted."""

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from core.errors import ConfigError
from core.line.service.forms import Wanted, wanted_form
from core.line.service.models import named_paths
from core.line.service.problems import Problem
from core.line.service.results import Form
from core.line.service.token import is_loopback, is_right, read_token, require_token

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.JSON),
        ("", Form.JSON),
        ("*/*", Form.JSON),
        ("image/*", Form.PNG),
        ("IMAGE/TIFF", Form.TIFF),
        ("text/html, application/json;q=0.5, image/png;q=0.9", Form.PNG),
        ("image/png;q=0, */*;q=0.1", Form.JSON),
        ("image/png;q=none", Form.PNG),
    ],
)
def test_that_the_heaviest_form_that_there_is_is_taken(accept: str | None, form: Form) -> None:
    assert wanted_form(None, accept) is form


def test_that_the_query_outweighs_the_header() -> None:
    assert wanted_form(Wanted.NONE, "image/png") is Form.JSON
    assert wanted_form(Wanted.TIFF, "text/html") is Form.TIFF


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", ",", "nonsense"])
def test_that_no_form_is_found_where_none_is_accepted(accept: str) -> None:
    with pytest.raises(Problem) as refused:
        wanted_form(None, accept)
    assert refused.value.status == 406


def test_that_names_come_from_files_or_are_given() -> None:
    assert named_paths(["a/part.cfa", "b=c=d.cfa"]) == {"part": Path("a/part.cfa"), "b": Path("c=d.cfa")}


def test_that_a_file_with_an_equals_sign_that_is_there_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a=b.cfa"
    path.touch()
    with pytest.raises(ConfigError, match="'a=b' cannot be"):
        named_paths([str(path)])
    assert named_paths([f"part={path}"]) == {"part": path}


@pytest.mark.parametrize("argument", ["part one.cfa", "=a.cfa", "ü=a.cfa", "../=a.cfa", "", f"{'x' * 65}=a.cfa"])
def test_that_a_name_that_cannot_stand_in_an_address_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match="NAME="):
        named_paths([argument])


def test_that_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="Two models have the name part"):
        named_paths(["part.cfa", "part=other.cfa"])


def test_that_the_token_is_read_from_the_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file, {"CFA_TOKEN": "another-token-of-some-length"}) == TOKEN
    assert read_token(None, {"CFA_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {"CFA_TOKEN": ""}) is None
    assert read_token(None, {}) is None


@pytest.mark.parametrize(
    "content", [b"", b"short", b"with blanks inside it", "schlüssel-zum-werk".encode(), b"\xff" * 20]
)
def test_that_a_weak_token_is_refused_without_telling_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="16 or more") as refused:
        read_token(file, {})
    assert not content or content.decode("latin-1") not in str(refused.value)


def test_that_a_token_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "token", {})


def test_that_only_the_whole_token_is_right() -> None:
    assert is_right(TOKEN, f"Bearer {TOKEN}")
    assert is_right(TOKEN, f"bearer {TOKEN}")
    for wrong in (None, "", "Bearer", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}"):
        assert not is_right(TOKEN, wrong)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LocalHost"])
def test_that_this_machines_own_addresses_need_no_token(host: str) -> None:
    assert is_loopback(host)
    require_token(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.7", "plant.example", "localhost.example"])
def test_that_other_addresses_need_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="--token-file"):
        require_token(host, None)
    require_token(host, TOKEN)
