"""List prices of well-known providers, for where the provider's own list of models gives none.

They ship with AgentHub, so that a hub without the Internet has them too, and are as old as `AS_OF` says. Providers
change prices, and contracts differ: a person confirms them before they count. Nothing here is ever used by itself.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import urlsplit

AS_OF = "2025-08-15"
"""The day on which the prices were those of the providers' public pages."""

_NAMES = ("input", "output", "cacheRead", "cacheWrite")
_MILLION = Decimal(1_000_000)
# A name with a date or "-latest" behind it is a version of the model in front, unless the list has a row of its own.
_VERSION = re.compile(r"-(?:latest|\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4})$")

Row = tuple[str | None, ...]
"""USD per million tokens: input, output, and where there are such prices cached input read and cached input written."""

PRICES: Mapping[str, Mapping[str, Row]] = {
    "api.openai.com": {
        "gpt-5": ("1.25", "10", "0.125"),
        "gpt-5-chat": ("1.25", "10", "0.125"),
        "gpt-5-mini": ("0.25", "2", "0.025"),
        "gpt-5-nano": ("0.05", "0.40", "0.005"),
        "gpt-4.1": ("2", "8", "0.50"),
        "gpt-4.1-mini": ("0.40", "1.60", "0.10"),
        "gpt-4.1-nano": ("0.10", "0.40", "0.025"),
        "gpt-4o": ("2.50", "10", "1.25"),
        "gpt-4o-2024-05-13": ("5", "15"),
        "gpt-4o-mini": ("0.15", "0.60", "0.075"),
        "o1": ("15", "60", "7.50"),
        "o3": ("2", "8", "0.50"),
        "o3-mini": ("1.10", "4.40", "0.55"),
        "o3-pro": ("20", "80"),
        "o4-mini": ("1.10", "4.40", "0.275"),
        "gpt-4-turbo": ("10", "30"),
        "gpt-4": ("30", "60"),
        "gpt-3.5-turbo": ("0.50", "1.50"),
        "gpt-3.5-turbo-1106": ("1", "2"),
        "text-embedding-3-small": ("0.02", None),
        "text-embedding-3-large": ("0.13", None),
        "text-embedding-ada-002": ("0.10", None),
    },
    "api.anthropic.com": {
        "claude-opus-4-1": ("15", "75", "1.50", "18.75"),
        "claude-opus-4": ("15", "75", "1.50", "18.75"),
        "claude-sonnet-4": ("3", "15", "0.30", "3.75"),
        "claude-3-7-sonnet": ("3", "15", "0.30", "3.75"),
        "claude-3-5-sonnet": ("3", "15", "0.30", "3.75"),
        "claude-3-5-haiku": ("0.80", "4", "0.08", "1"),
        "claude-3-opus": ("15", "75", "1.50", "18.75"),
        "claude-3-haiku": ("0.25", "1.25", "0.03", "0.30"),
    },
    "generativelanguage.googleapis.com": {
        "gemini-2.5-pro": ("1.25", "10", "0.31"),
        "gemini-2.5-flash": ("0.30", "2.50", "0.075"),
        "gemini-2.5-flash-lite": ("0.10", "0.40", "0.025"),
        "gemini-2.0-flash": ("0.10", "0.40", "0.025"),
        "gemini-2.0-flash-lite": ("0.075", "0.30"),
    },
    "api.deepseek.com": {
        "deepseek-chat": ("0.27", "1.10", "0.07"),
        "deepseek-reasoner": ("0.55", "2.19", "0.14"),
    },
    "api.mistral.ai": {
        "mistral-large": ("2", "6"),
        "mistral-medium": ("0.40", "2"),
        "mistral-small": ("0.10", "0.30"),
        "codestral": ("0.30", "0.90"),
        "ministral-8b": ("0.10", "0.10"),
        "ministral-3b": ("0.04", "0.04"),
        "mistral-embed": ("0.10", None),
    },
    "api.groq.com": {
        "llama-3.3-70b-versatile": ("0.59", "0.79"),
        "llama-3.1-8b-instant": ("0.05", "0.08"),
        "openai/gpt-oss-120b": ("0.15", "0.75"),
        "openai/gpt-oss-20b": ("0.10", "0.50"),
    },
    "api.x.ai": {
        "grok-4": ("3", "15", "0.75"),
        "grok-3": ("3", "15", "0.75"),
        "grok-3-mini": ("0.30", "0.50", "0.075"),
    },
}

NOTHING: Mapping[str, Decimal] = MappingProxyType({})


def list_prices(api_base_url: str, native_id: str) -> Mapping[str, Decimal]:
    """What the provider at a base URL asked for a model on the day AS_OF, USD per token by the API's names of prices.

    Empty for a provider or model that is not in the list. A dated or "-latest" name is looked up as itself first,
    then without its ending.
    """
    rows = PRICES.get(urlsplit(api_base_url).hostname or "", {})
    row = rows.get(native_id) or rows.get(_VERSION.sub("", native_id))
    if row is None:
        return NOTHING
    return {name: Decimal(price) / _MILLION for name, price in zip(_NAMES, row, strict=False) if price is not None}
