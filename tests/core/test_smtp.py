import pytest

from agenthub.core.smtp import Smtp, smtp_settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, Smtp(host="localhost", port=25)),
        ("smtp://mail.example", Smtp(host="mail.example", port=25)),
        ("smtps://a%40b:p%3Aw@mail.example", Smtp(host="mail.example", port=465, user="a@b", password="p:w", tls=True)),
        (
            "smtp+starttls://u:p@mail.example:2525",
            Smtp(host="mail.example", port=2525, user="u", password="p", starttls=True),
        ),
    ],
)
def test_a_url_says_where_and_how_mail_is_handed_in(url: str | None, expected: Smtp) -> None:
    assert smtp_settings(url) == expected


def test_the_password_is_not_shown() -> None:
    assert "geheim" not in repr(smtp_settings("smtp://u:geheim@mail.example"))
