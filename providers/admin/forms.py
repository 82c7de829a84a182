"""The forms of backends and mappings."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from agenthub.core.crypto import masked
from agenthub.core.money import picodollars_from_usd, usd_text
from agenthub.core.settings_store import runtime_settings
from agenthub.core.tls import MOST_CHAIN_CHARACTERS, ca_bundle_refusal, client_certificate_refusal, pem_tidy
from providers.models import Backend, ModelMapping, Pool
from providers.presets import BY_KEY, PRESETS, Preset
from providers.rules.base_url import base_url_refusal
from providers.rules.headers import header_refusal
from providers.rules.outgoing_proxy import outgoing_proxy_refusal
from providers.rules.table import Service
from providers.selectors import (
    api_key_masked,
    client_certificate_shown,
    extra_headers_masked,
    outgoing_proxy_shown,
)
from providers.services.keys import (
    API_KEY,
    CLIENT_CERTIFICATE,
    HEADERS,
    OUTGOING_PROXY,
    extra_headers_opened,
    headers_text,
)

MILLION = Decimal(1_000_000)
SECRET_COLUMNS_BY_FIELD = {
    "api_key": API_KEY,
    "outgoing_proxy": OUTGOING_PROXY,
    "client_certificate": CLIENT_CERTIFICATE,
}
SECRET_HELP = {
    "outgoing_proxy": "For example http://user:password@proxy.example:3128.",
    "client_certificate": "PEM: the certificate chain, the client's own first, and its private key without a password.",
}
CONNECTING = {"api_base_url", "outgoing_proxy", "no_outgoing_proxy", "ca_bundle", "client_certificate"}


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
    outgoing_proxy = forms.CharField(
        required=False,
        max_length=2000,
        label="Outgoing proxy",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    no_outgoing_proxy = forms.BooleanField(
        required=False,
        label="No outgoing proxy",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="Connections are made directly; a proxy that is stored is forgotten.",
    )
    client_certificate = forms.CharField(
        required=False,
        max_length=MOST_CHAIN_CHARACTERS,
        label="Client certificate",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
    )
    no_client_certificate = forms.BooleanField(
        required=False,
        label="No client certificate",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="The upstream asks for none; one that is stored is forgotten.",
    )
    services = forms.MultipleChoiceField(
        required=False,
        choices=[(service.value, service.value) for service in Service],
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="What it may be asked for without naming a model.",
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
            "probe",
            "ca_bundle",
            "services",
            "metadata",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self._start_new()
        else:
            self._show("api_key", api_key_masked(self.instance))
            self._show("outgoing_proxy", outgoing_proxy_shown(self.instance))
            self._show("client_certificate", client_certificate_shown(self.instance))
            self.fields["extra_headers"].initial = extra_headers_masked(self.instance)

        for name, text in SECRET_HELP.items():
            self.fields[name].help_text = f"{text} {self.fields[name].help_text}"

    def _show(self, name: str, shown: str) -> None:
        self.fields[name].widget.attrs["placeholder"] = shown
        self.fields[name].help_text = (
            f"Stored encrypted, shown as {shown}. Leave it blank to keep it." if shown else "None is stored."
        )

    def _start_new(self) -> None:
        stored = runtime_settings()
        self.fields["rpm_limit"].initial = stored.default_rpm_limit
        self.fields["timeout_seconds"].initial = stored.default_request_timeout_seconds
        self.fields["pool"].initial = Pool.objects.order_by("order", "name").first()
        for name in ("api_key", *SECRET_HELP):
            self.fields[name].help_text = "Stored encrypted; it can't be read again."
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

    def clean_outgoing_proxy(self) -> str:
        """A URL of a proxy that the hub can speak to."""
        url: str = self.cleaned_data["outgoing_proxy"]
        allow_private = settings.ENVIRONMENT.allow_private_upstreams
        return _unless(outgoing_proxy_refusal(url, allow_private=allow_private) if url else None, url)

    def clean_ca_bundle(self) -> str:
        """Certificates that can be loaded."""
        text = pem_tidy(self.cleaned_data["ca_bundle"])
        return _unless(ca_bundle_refusal(text) if text else None, text)

    def clean_services(self) -> list[str]:
        """Each once, in one order."""
        return [service.value for service in Service if service.value in self.cleaned_data["services"]]

    def clean_client_certificate(self) -> str:
        """A certificate and its key that can be loaded."""
        text = pem_tidy(self.cleaned_data["client_certificate"])
        return _unless(client_certificate_refusal(text) if text else None, text)

    def clean(self) -> dict[str, Any] | None:
        """The preset fills in what was left empty; the base URL must be one."""
        data = super().clean()
        data = self.cleaned_data if data is None else data
        preset = BY_KEY.get(data.get("preset") or "")
        if preset:
            self._fill_in(data, preset)
        url: str = data.get("api_base_url") or ""
        problem = base_url_refusal(url, allow_private=settings.ENVIRONMENT.allow_private_upstreams)
        if problem and "api_base_url" not in self.errors:
            example = (
                f"Give your own, like {preset.api_base_url}." if preset else "Give a base URL, or choose a preset."
            )
            self.add_error("api_base_url", problem if url else example)
        data["api_base_url"] = url.rstrip("/")
        if self.instance._state.adding and not data.get("api_key") and not data.get("no_api_key"):
            self.add_error("api_key", "Give the upstream's API key, or say that it wants none.")
        return data

    def _fill_in(self, data: dict[str, Any], preset: Preset) -> None:
        if preset.own_host:
            data["api"] = preset.api.value
        elif not data.get("api_base_url"):
            data["api_base_url"], data["api"] = preset.api_base_url, preset.api.value
            data["rpm_limit"] = preset.rpm_limit or data.get("rpm_limit")

    def secrets(self) -> dict[str, str]:
        """The secrets that are others now, by column."""
        data, found = self.cleaned_data, {}
        for name, column in SECRET_COLUMNS_BY_FIELD.items():
            if data[f"no_{name}"]:
                found[column] = ""
            elif data[name]:
                found[column] = data[name]
        if "extra_headers" in self.changed_data:
            found[HEADERS] = headers_text(data["extra_headers"])
        return found

    def connecting(self) -> bool:
        """Whether something is another one that a connection depends on."""
        return bool(CONNECTING & set(self.changed_data))


def _unless(problem: str | None, value: str) -> str:
    if problem:
        raise forms.ValidationError(problem, code="invalid")
    return value
