import re
from string import Formatter

import pytest
from django.utils import translation

from agenthub.overview.texts import dashboard_texts
from agenthub.overview.theme import NAVIGATION

SAME_IN_CHINESE = {"percentiles"}


def names_in(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_chinese_texts_are_there_and_name_the_same_values() -> None:
    english = dashboard_texts()
    with translation.override("zh-hans"):
        chinese = dashboard_texts()

    assert {name for name, text in chinese.items() if text == english[name]} == SAME_IN_CHINESE
    for name, text in english.items():
        assert names_in(chinese[name]) == names_in(text), name


@pytest.mark.parametrize("group", NAVIGATION, ids=lambda group: str(group.get("title", "first")))
def test_the_menu_is_chinese(group: dict[str, object]) -> None:
    items = group["items"]
    assert isinstance(items, list)
    with translation.override("zh-hans"):
        titles = [str(named["title"]) for named in (group, *items) if "title" in named]

    assert [title for title in titles if not re.search("[\u4e00-\u9fff]", title)] == []
