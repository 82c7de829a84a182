"""What a route of a model name may say; the routing table follows no chain, so that none must be needed."""

from collections.abc import Mapping, Sequence

LONGEST_NAME = 200
MOST_FALLBACKS = 20


def route_refusals(
    name: str,
    target: str,
    fallbacks: Sequence[str],
    *,
    aliases: Mapping[str, str],
    pointing: Sequence[str],
) -> dict[str, str]:
    """What is wrong with a route, by field; nothing where it may be saved.

    `aliases` are the other routes that stand for a model, with that model; `pointing` those that name this one.
    """
    found = {
        "name": _name_refusal(name, target, pointing),
        "target": _target_refusal(name, target, aliases),
        "fallbacks": _fallbacks_refusal(name, target, fallbacks, aliases),
    }
    return {field: problem for field, problem in found.items() if problem}


def _name_refusal(name: str, target: str, pointing: Sequence[str]) -> str:
    if not _is_name(name):
        return f"A model name has 1 to {LONGEST_NAME} characters that can be printed, and no space at its ends."
    if target and pointing:
        return (
            f"The route {pointing[0]} points to {name}, and chains of aliases are not followed; "
            f"let {pointing[0]} point to {target} first."
        )
    return ""


def _target_refusal(name: str, target: str, aliases: Mapping[str, str]) -> str:
    if not target:
        return ""
    if not _is_name(target):
        return f"A model name has 1 to {LONGEST_NAME} characters that can be printed, and no space at its ends."
    if target == name:
        return "A name can't stand for itself; leave the target empty to give the model itself fallbacks or options."
    return _alias_refusal(target, aliases)


def _fallbacks_refusal(name: str, target: str, fallbacks: Sequence[str], aliases: Mapping[str, str]) -> str:
    if len(fallbacks) > MOST_FALLBACKS:
        return f"There are {len(fallbacks)} fallbacks; name at most {MOST_FALLBACKS}."
    for place, model in enumerate(fallbacks):
        if not _is_name(model):
            return f"Fallback {place + 1} is no model name of 1 to {LONGEST_NAME} characters that can be printed."
        if model == name:
            return f"{model} is the name of this route, which can't fall back to itself."
        if model == target:
            return f"{model} is what the name stands for already, so falling back to it would try the same again."
        if model in fallbacks[:place]:
            return f"{model} is named twice; leave one out."
        if problem := _alias_refusal(model, aliases):
            return problem
    return ""


def _alias_refusal(model: str, aliases: Mapping[str, str]) -> str:
    if model not in aliases:
        return ""
    return f"{model} is an alias itself, and chains of aliases are not followed; name {aliases[model]} instead."


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()
