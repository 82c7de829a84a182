"""Forms, however they are cut: small fields are found where they stand, and nothing is read in two ways."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agenthub.core.errors import BadRequest
from proxy.wire.multipart import (
    MOST_PART_HEADER_BYTES,
    MOST_PARTS,
    MOST_VALUE_BYTES,
    Field,
    FormScanner,
    boundary_of,
)

BOUNDARY = b"--limit'7"
WANTED = ("model", "stream", "response_format")


def scanned(body: bytes, cuts: list[int] | None = None, *, boundary: bytes = BOUNDARY) -> dict[str, Field]:
    scanner = FormScanner(boundary, WANTED)
    for start, end in pairwise([0, *sorted(cuts or []), len(body)]):
        scanner.feed(body[start:end])
    scanner.finish()
    return scanner.fields


def part(name: str, value: bytes, more: str = "", boundary: bytes = BOUNDARY) -> bytes:
    head = f'\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
    return b"--" + boundary + head + value + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"
FILE = b"\r\n--" + BOUNDARY[:-1] + b"\r\n\r\n--\r\n-" + BOUNDARY + b" \r\r\n" + bytes(range(256))
BODY = (
    b"a preamble\r\n"
    + part("file", FILE, '; filename="a \\"b\\".wav"\r\nContent-Type: audio/wav')
    + part("model", b"whisper-1\r\n\r")
    + part("language", b"en")
    + part("response_format", b"")
    + END
    + b"an epilogue\r\n--"
)


def values(body: bytes, cuts: list[int] | None = None) -> dict[str, bytes]:
    return {name: field.value for name, field in scanned(body, cuts).items()}


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
@example(list(range(len(BODY))))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    fields = scanned(BODY, cuts)
    assert {name: field.value for name, field in fields.items()} == {
        "model": b"whisper-1\r\n\r",
        "response_format": b"",
    }
    assert all(BODY[field.start : field.end] == field.value for field in fields.values())


# Contents made of what boundaries are made of.
_BITS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY[:4], BOUNDARY, b"x", b":"]), max_size=12)


@given(_BITS, _BITS, st.lists(st.integers(0, 400), max_size=8))
def test_any_content_without_a_boundary_line_goes_by(value: list[bytes], other: list[bytes], cuts: list[int]) -> None:
    model, file = b"".join(value), b"".join(other)
    for content in (model, file):
        if b"\n--" + BOUNDARY in b"\r\n" + content:
            return
    body = part("file", file, '; filename="x"') + part("model", model) + END
    assert values(body, [min(cut, len(body)) for cut in cuts]) == {"model": model}


@given(st.binary(max_size=300), st.integers(1, 9))
def test_any_bytes_are_taken_or_refused_the_same_way_however_they_are_cut(noise: bytes, step: int) -> None:
    body = part("model", b"m") + noise

    def outcome(cuts: list[int]) -> object:
        try:
            return scanned(body, cuts)
        except BadRequest:
            return None

    assert outcome([]) == outcome(list(range(0, len(body), step)))


def test_a_file_is_no_value() -> None:
    assert values(part("model", b"m", '; filename="m"') + END) == {}
    assert values(part("model", b"m", "; filename*=UTF-8''m") + END) == {}


def test_white_space_behind_a_boundary_and_no_line_end_at_the_end() -> None:
    body = part("model", b"m").replace(BOUNDARY, BOUNDARY + b" \t") + END.rstrip()
    assert values(body) == {"model": b"m"}


@pytest.mark.parametrize(
    "disposition",
    [
        b'content-disposition:form-data;name="model"',
        b"Content-Disposition: form-data; name=model",
        b'CONTENT-DISPOSITION: Form-Data ; x=y ; NAME="model" ',
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: 8bit',
    ],
)
def test_headers_may_be_written_in_several_ways(disposition: bytes) -> None:
    assert values(b"--" + BOUNDARY + b"\r\n" + disposition + b"\r\n\r\nm\r\n" + END) == {"model": b"m"}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (b"", "Content-Disposition"),
        (b"Content-Type: text/plain", "one Content-Disposition"),
        (
            b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="model"',
            "one Content-Disp",
        ),
        (b'Content-Disposition: attachment; name="model"', "must be form-data"),
        (b"Content-Disposition: form-data", "must be form-data"),
        (b"Content-Disposition: form-data; name*=UTF-8''model; name=x", "must be form-data"),
        (b'Content-Disposition: form-data; name="a"; name="model"', "twice"),
        (b'Content-Disposition: form-data; name="mod\\el"', "backslash"),
        (b'Content-Disposition: form-data; name="model', "can't be read"),
        (b'Content-Disposition: form-data; name="model" x', "can't be read"),
        (b'Content-Disposition: form-data; name="\xff"', "UTF-8"),
        (b'Content-Disposition: form-data;\r\n name="model"', "header of a part"),
        (b'Content-Disposition : form-data; name="model"', "header of a part"),
        (b'Content-Disposition: form-data; name="a"\nX: y', "header of a part"),
        (b'Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64', "Transfer-Encoding"),
        (b"X: " + b"y" * MOST_PART_HEADER_BYTES, "headers of a part are longer"),
    ],
)
def test_headers_that_say_nothing_clear_are_refused(headers: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        scanned(b"--" + BOUNDARY + b"\r\n" + headers + b"\r\n\r\nm\r\n" + END)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "does not hold its boundary"),
        (b"no form at all", "does not hold its boundary"),
        (b"--" + BOUNDARY, "does not hold its boundary"),
        (part("model", b"m"), "ends before"),
        (part("model", b"m") + END[:-3], "ends before"),
        (part("model", b"m") + b"--" + BOUNDARY + b"\r\nContent-Disp", "ends before"),
        (part("model", b"a") + part("model", b"b") + END, "model is given twice"),
        (part("model", b"a", "; filename=x") + part("model", b"b") + END, "model is given twice"),
        (part("model", b"a").replace(b"\r\n", b"\n") + END, "followed by something else"),
        (part("model", b"m")[:-2] + b"\n" + END, "CR and LF"),
        (part("file", b"x\n--" + BOUNDARY + b"\r\n", "; filename=x") + END, "CR and LF"),
        (part("file", b"x\r\n--" + BOUNDARY + b"y", "; filename=x") + END, "followed by something else"),
        (part("file", b"x")[:-3] + END, "no content"),
        (part("model", b"m").replace(BOUNDARY, BOUNDARY + b" " * 300) + END, "followed by something else"),
        (part("model", b"m" * (MOST_VALUE_BYTES + 1)) + END, "longer than 4,096"),
        (part("model", b"m" * 100_000), "longer than 4,096"),
        (part("a", b"") * (MOST_PARTS + 1) + END, "more than 1,000 parts"),
    ],
)
def test_a_form_that_is_none_is_refused_and_the_reason_named(body: bytes, words: str) -> None:
    for cuts in ([], list(range(0, min(len(body), 9000), 7))):
        with pytest.raises(BadRequest, match=words):
            scanned(body, cuts)


def test_the_longest_value_and_the_most_parts_are_taken() -> None:
    body = part("model", b"m" * MOST_VALUE_BYTES) + part("a", b"") * (MOST_PARTS - 1) + END
    assert values(body, list(range(0, len(body), 999))) == {"model": b"m" * MOST_VALUE_BYTES}


def test_contents_are_not_kept() -> None:
    scanner = FormScanner(BOUNDARY, WANTED)
    scanner.feed(part("file", b"", "; filename=x")[:-2])
    for _ in range(100):
        scanner.feed(b"\r\n--limit" * 1000)
        assert len(scanner._buffer) <= len(BOUNDARY) + 4


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'multipart/form-data; boundary="a b:c"', b"a b:c"),
        (b"Multipart/Form-Data;charset=utf-8 ;BOUNDARY=----WebKitFormBoundaryx1 ", b"----WebKitFormBoundaryx1"),
        (b"multipart/form-data; boundary=" + b"x" * 70, b"x" * 70),
        (b"multipart/form-data; boundary=a/b=c", b"a/b=c"),
    ],
)
def test_the_boundary_of_a_content_type(content_type: bytes, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        (b"", "must be multipart/form-data"),
        (b"application/json", "must be multipart/form-data"),
        (b"multipart/mixed; boundary=abc", "must be multipart/form-data"),
        (b"multipart/form-data", "must name its boundary"),
        (b"multipart/form-data; boundary=", "1 to 70"),
        (b'multipart/form-data; boundary=""', "1 to 70"),
        (b'multipart/form-data; boundary="a "', "1 to 70"),
        (b'multipart/form-data; boundary="a\\b"', "1 to 70"),
        (b"multipart/form-data; boundary=" + b"x" * 71, "1 to 70"),
        (b"multipart/form-data; boundary=a; boundary=b", "twice"),
        (b"multipart/form-data; boundary=a b", "can't be read"),
        (b'multipart/form-data; boundary="a', "can't be read"),
    ],
)
def test_a_content_type_without_a_boundary_is_refused(content_type: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        boundary_of(content_type)
