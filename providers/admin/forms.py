"""The forms of backends and mappings."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from agenthub.core.crypto import masked
from agenthub.core.money import picodollars_from_usd, usd_text
from agenthub.core.settings_store import runtime_settings
from providers.models import Backend, ModelMapping, Pool
from providers.presets import BY_KEY, PRESETS
from providers.rules.base_url import base_url_refusal
from providers.rules.headers import header_refusal
from providers.selectors import api_key_masked, extra_headers_masked
from providers.services.keys import extra_headers_opened

MILLION = Decimal(1_000_000)


class PricePerMillionField(forms.DecimalField):
    """USD per million tokens in the form, exact USD per token in the model."""

    widget = UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "min": "0"})

    def __init__(self, **kwargs: Any) -> None:
        standard: dict[str, Any] = {"required": False, "min_value": 0, "help_text": "USD per million tokens."}
        super().__init__(**standard | kwargs)

    def prepare_value(self, value: Any) -> Any:
        """A stored price as it is edited."""
        return usd_text(value * MILLION) if isinstance(value, Decimal) else value

    def clean(self, value: Any) -> Decimal | None:
        """What is edited as it is stored."""
        per_million: Decimal | None = super().clean(value)
        if per_million is None:
            return None
        price = per_million / MILLION
        try:
            picodollars_from_usd(price)
        except ValueError:
            raise forms.ValidationError("Give at most six decimals.", code="invalid") from None
        return price

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the price is another one."""
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


class JsonField(forms.JSONField):
    """A JSON object; an empty field is an empty object."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"})
        super().__init__(**{"required": False, "widget": widget} | kwargs)

    def prepare_value(self, value: Any) -> Any:
        """An object as it is edited; a new row has an empty one."""
        return super().prepare_value({} if value is None else value)

    def clean(self, value: Any) -> Any:
        """The object."""
        data = super().clean(value)
        if data in (None, ""):
            return {}
        if not isinstance(data, dict):
            raise forms.ValidationError("Give a JSON object, e.g. {}.", code="invalid")
        return data


class ModalitiesField(forms.CharField):
    """Words separated by commas, kept as a list."""

    widget = UnfoldAdminTextInputWidget()

    def prepare_value(self, value: Any) -> Any:
        """A list as words."""
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """Words as a list."""
        return [word.strip() for word in str(super().clean(value)).split(",") if word.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the words are others."""
        return self.clean(data or "") != (initial or [])


class MappingForm(forms.ModelForm):  # type: ignore[type-arg]
    """One mapping with its prices per million tokens."""

    price_input_usd = PricePerMillionField(label="Input price")
    price_output_usd = PricePerMillionField(label="Output price")
    price_cache_read_usd = PricePerMillionField(label="Cache read price")
    price_cache_write_usd = PricePerMillionField(label="Cache write price")
    input_modalities = ModalitiesField(
        required=False, help_text="What the model takes, separated by commas, e.g. text, image. Empty: text."
    )
    compat = JsonField(help_text="A JSON object of oddities of this model.")

    class Meta:
        model = ModelMapping
        fields = "__all__"

    def save(self, commit: bool = True) -> Any:
        """A mapping that somebody has looked at is no longer flagged."""
        self.instance.flagged_at, self.instance.flag_reason = None, ""
        return super().save(commit)


class BackendForm(forms.ModelForm):  # type: ignore[type-arg]
    """A backend; its secrets go in and never come out."""

    preset = forms.ChoiceField(
        required=False,
        choices=[("", "—"), *((preset.key, preset.name) for preset in PRESETS)],
        widget=UnfoldAdminSelectWidget(),
        help_text="A well-known provider: fills in its base URL and API where you leave the base URL empty.",
    )
    api_key = forms.CharField(
        required=False,
        max_length=4096,
        label="API key",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    no_api_key = forms.BooleanField(
        required=False,
        label="No API key",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="The upstream wants no key; one that is stored is forgotten.",
    )
    extra_headers = JsonField(
        help_text="A JSON object of headers to send with every request, stored encrypted. Masked values are kept."
    )
    metadata = JsonField(help_text="A JSON object for your own notes; it is not sent anywhere.")

    class Meta:
        model = Backend
        fields = (
            "name",
            "label",
            "pool",
            "api_base_url",
            "api",
            "enabled",
            "timeout_seconds",
            "rpm_limit",
            "burst",
            "tpm_limit",
            "max_concurrency",
            "weight",
            "metadata",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self._start_new()
        else:
            shown = api_key_masked(self.instance)
            self.fields["api_key"].widget.attrs["placeholder"] = shown
            self.fields["api_key"].help_text = (
                f"Stored encrypted, shown as {shown}. Leave it blank to keep it." if shown else "None is stored."
            )
            self.fields["extra_headers"].initial = extra_headers_masked(self.instance)

    def _start_new(self) -> None:
        stored = runtime_settings()
        self.fields["rpm_limit"].initial = stored.default_rpm_limit
        self.fields["timeout_seconds"].initial = stored.default_request_timeout_seconds
        self.fields["pool"].initial = Pool.objects.order_by("order", "name").first()
        self.fields["api_key"].help_text = "Stored encrypted; it can't be read again."
        self.fields["api_base_url"].required = False

    def clean_extra_headers(self) -> dict[str, str]:
        """Headers that can be sent; masked ones are as they were."""
        given: dict[str, Any] = self.cleaned_data["extra_headers"]
        old = {} if self.instance._state.adding else extra_headers_opened(self.instance)
        headers = {}
        for name, value in given.items():
            problem = "The value must be a text." if not isinstance(value, str) else header_refusal(name, value)
            if problem:
                raise forms.ValidationError(f"{name}: {problem}", code="invalid")
            headers[name] = old[name] if name in old and value == masked(old[name]) else value
        return headers

    def clean_api_key(self) -> str:
        """A key that can stand in a header."""
        key: str = self.cleaned_data["api_key"]
        if not key.isascii() or (key and not key.isprintable()):
            raise forms.ValidationError("The key holds characters that can't be sent in a header.", code="invalid")
        return key

    def clean(self) -> dict[str, Any] | None:
        """The preset fills in what was left empty; the base URL must be one."""
        data = super().clean()
        data = self.cleaned_data if data is None else data
        preset = BY_KEY.get(data.get("preset") or "")
        if preset and not data.get("api_base_url"):
            data["api_base_url"], data["api"] = preset.api_base_url, preset.api.value
            data["rpm_limit"] = preset.rpm_limit or data.get("rpm_limit")
        url: str = data.get("api_base_url") or ""
        problem = base_url_refusal(url, allow_private=settings.ENVIRONMENT.allow_private_upstreams)
        if problem and "api_base_url" not in self.errors:
            self.add_error("api_base_url", problem if url else "Give a base URL, or choose a preset.")
        data["api_base_url"] = url.rstrip("/")
        if self.instance._state.adding and not data.get("api_key") and not data.get("no_api_key"):
            self.add_error("api_key", "Give the upstream's API key, or say that it wants none.")
        return data

    def secrets_given(self) -> bool:
        """Whether the key or a header is another one."""
        return bool({"api_key", "no_api_key", "extra_headers"} & set(self.changed_data))
