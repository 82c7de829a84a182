"""Tags of client keys."""

LONGEST_TAG = 64
MOST_TAGS = 50


def tags_refusal(value: object) -> str:
    """Why a value can't be the tags of a key; "" for a list of short, different words."""
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        return 'Give a list of words, e.g. ["ci", "nightly"].'
    if len(value) > MOST_TAGS:
        return f"A key may have {MOST_TAGS} tags."
    for tag in value:
        if not tag.strip() or not tag.isprintable() or len(tag) > LONGEST_TAG:
            return f"A tag is a word of 1 to {LONGEST_TAG} characters."
        if value.count(tag) > 1:
            return f"The tag {tag} stands there twice."
    return ""
