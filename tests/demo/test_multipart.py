"""Forms are read to the byte, and what is no form is refused."""

import os

import httpx
import pytest

from agenthub.demo.standin.multipart import FilePart, Form, is_multipart, parse

KIND = "multipart/form-data; boundary=b"


def part(head: str, content: bytes) -> bytes:
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


FIELD = 'Content-Disposition: form-data; name="model"'
FILE = 'Content-Disposition: form-data; name="file"; filename="a.bin"'


def test_what_a_client_writes_is_read_back() -> None:
    data = os.urandom(10_000) + b"\r\n--" + b"\r\n\r\n--\r\n"
    request = httpx.Request(
        "POST",
        "http://x/",
        data={"model": "größer", "empty": ""},
        files=[
            ("file", ('a "b"\\é.wav', data, "audio/wav")),
            ("file", ("empty.bin", b"", "application/octet-stream")),
        ],
    )
    form = parse(request.headers["content-type"], request.read())
    assert form.fields == {"model": "größer", "empty": ""}
    # httpx escapes a backslash as well as a quote.
    assert [(each.name, each.content_type, each.data) for each in form.files] == [
        ("file", "audio/wav", data),
        ("file", "application/octet-stream", b""),
    ]
    assert form.files[0].filename.startswith('a "b"')


def test_a_preamble_an_epilogue_and_padding_are_passed_over() -> None:
    body = b"before\r\n--b \t\r\n" + FIELD.encode() + b"\r\n\r\nm\r\n--b--\r\nafter\r\n--b\r\n"
    assert parse(KIND, body) == Form({"model": "m"})


def test_headers_are_read_loosely() -> None:
    head = "CONTENT-TYPE:text/plain\r\ncontent-disposition:form-data;name=file;filename=a.txt"
    body = part(head, b"x") + b"--b--"
    assert parse('Multipart/Form-Data; charset=utf-8; boundary="b"', body) == Form(
        {}, (FilePart("file", "a.txt", "text/plain", b"x"),)
    )


def test_a_filename_may_be_empty_and_a_field_may_hold_line_breaks() -> None:
    body = part(FILE.replace("a.bin", ""), b"x") + part(FIELD, b"a\r\n-b\r\n\r\nc") + b"--b--\r\n"
    form = parse(KIND, body)
    assert form.fields == {"model": "a\r\n-b\r\n\r\nc"}
    assert form.files[0].filename == ""


def test_of_fields_with_the_same_name_the_last_counts() -> None:
    assert parse(KIND, part(FIELD, b"1") + part(FIELD, b"2") + b"--b--").fields == {"model": "2"}


def test_a_form_may_be_empty() -> None:
    assert parse(KIND, b"--b--\r\n") == Form()


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", "", "x; boundary=b\u00e9"])
def test_without_a_boundary_nothing_is_read(kind: str) -> None:
    with pytest.raises(ValueError, match="names no boundary"):
        parse(kind, b"--b--\r\n")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is not in the body"),
        (b"--c--\r\n", "is not in the body"),
        (b"x--b--\r\n", "is not in the body"),
        (b"--b", "neither a part nor the end"),
        (b"--b\r\n", "before its last boundary"),
        (part(FIELD, b"m"), "before its last boundary"),
        (part(FIELD, b"m") + b"--b", "neither a part nor the end"),
        (part(FIELD, b"m") + b"--bad\r\n\r\n--b--", "neither a part nor the end"),
        (b"--b\r\n--b--", "no empty line"),
        (b"--b\r\n" + FIELD.encode() + b"\r\n--b--", "no empty line"),
        (b"--b\r\n\r\nm\r\n--b--", "no Content-Disposition"),
        (part("Content-Disposition: attachment; name=x", b"m") + b"--b--", "no Content-Disposition"),
        (part("Content-Disposition: form-data", b"m") + b"--b--", "no Content-Disposition"),
        (part(FIELD + "\r\nnonsense", b"m") + b"--b--", "no colon"),
        (part(FIELD, b"\xff") + b"--b--", "not UTF-8"),
        (b"--b\r\nX: \xff\r\n\r\nm\r\n--b--", "not UTF-8"),
        (part(FIELD + "\r\nContent-Transfer-Encoding: base64", b"bQ==") + b"--b--", "encoded as 'base64'"),
    ],
)
def test_what_is_malformed_is_told(body: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(KIND, body)


def test_every_torn_form_is_refused() -> None:
    body = part(FIELD, b"m") + part(FILE, b"content") + b"--b--"
    for end in range(len(body)):
        with pytest.raises(ValueError, match=r"\.$"):
            parse(KIND, body[:end])


def test_the_type_is_told_apart() -> None:
    assert is_multipart("Multipart/Form-Data; boundary=b")
    assert not is_multipart("multipart/mixed; boundary=b")
    assert not is_multipart("")
