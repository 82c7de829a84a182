"""Outgoing proxies, certificates and services of backends, by every way on which people set them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from agenthub.core.env import EnvError
from agenthub.core.errors import BadRequest, Conflict
from agenthub.core.keyring import key_ring
from providers.models import Backend
from providers.probes import backend_test, reach_warning
from providers.rules.entries import Entry, Format, entries_read, entries_written
from providers.rules.table import ErrorKind, Service, Way
from providers.selectors import backends_with_mappings, routing_pools
from providers.services.backends import BackendData, backend_duplicate, backend_update
from providers.services.entries import entries_apply, entries_of
from providers.services.from_environment import backends_from_environment
from providers.services.keys import CLIENT_CERTIFICATE, OUTGOING_PROXY, keys_rotate, secret_opened, way_opened
from tests.certificates import issued
from tests.factories import API_KEY, make_backend
from tests.management import TOKEN, Management, with_environment
from tests.outgoing_proxy import running_proxy
from tests.providers.test_backend_admin import LIST, form, signed_in, told
from tests.providers.test_rotate_keys import NEW, OLD, with_keys
from tests.upstream import running_upstream

pytestmark = pytest.mark.django_db

CA = issued("a private CA", ca=True)
CLIENT = issued("client", by=CA)
PROXY = "http://hub:swordfish@127.0.0.1:1"
CERTIFICATE = CLIENT.chain_pem.strip()
SHOWN = f"CN=client, valid until {CLIENT.certificate.not_valid_after_utc:%Y-%m-%d}"
GIVEN: dict[str, Any] = {
    "outgoing_proxy": PROXY,
    "ca_bundle": CA.pem.replace("\n", "\r\n"),
    "client_certificate": CERTIFICATE,
    "services": ["images", "files", "files"],
}
WAY = Way(proxy=PROXY, ca_bundle=CA.pem.strip(), client_certificate=CERTIFICATE)
SECRETS = ("swordfish", CLIENT.key_pem.splitlines()[1])


@pytest.fixture
def api() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def connected(name: str = "one", **values: Any) -> Backend:
    backend = make_backend(name, ca_bundle=CA.pem.strip(), services=["files"], **values)
    data = BackendData(outgoing_proxy=PROXY, client_certificate=CERTIFICATE)
    return backend_update(backend_id=backend.id, data=data)


def the_way() -> Way:
    return way_opened(Backend.objects.get())


def test_the_proxy_is_told_the_way_and_the_services() -> None:
    connected()
    entry = routing_pools()[0].backends[0]
    assert (entry.way, entry.services) == (WAY, frozenset({Service.FILES}))
    assert "swordfish" not in repr(entry)
    Backend.objects.update(services=["files", "of a later version"])
    assert routing_pools()[0].backends[0].services == {Service.FILES}


def test_the_api_takes_them_and_shows_no_secret(api: Management) -> None:
    new = {"name": "one", "api_base_url": "http://127.0.0.1:1/v1", "api_key": API_KEY}
    created = api.ask("POST", "backends", new | GIVEN)
    answer = created.json()
    assert created.status_code == 201, answer
    assert the_way() == WAY
    assert (answer["outgoing_proxy"], answer["client_certificate"]) == ("http://***@127.0.0.1:1", SHOWN)
    assert (answer["ca_bundle"], answer["services"]) == (CA.pem.strip(), ["files", "images"])
    trail = json.dumps(list(LogEntry.objects.values("changes")))
    for secret in SECRETS:
        assert secret not in created.content.decode() + trail
        assert secret not in str(Backend.objects.values().get())
    # What comes back as it is shown, or empty, stays.
    path = f"backends/{answer['id']}"
    api.good("PUT", path, answer | {"label": "x"})
    api.good("PATCH", path, {"outgoing_proxy": "", "client_certificate": ""})
    assert the_way() == WAY
    changed = api.good("PATCH", path, {"outgoing_proxy": None, "client_certificate": None, "ca_bundle": ""})
    assert (changed["outgoing_proxy"], changed["client_certificate"]) == ("", "")
    assert the_way() == Way()
    newest = LogEntry.objects.latest("id").changes_dict
    assert newest["outgoing_proxy_sealed"] == newest["client_certificate_sealed"] == ["changed", ""]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outgoing_proxy": "socks5://hub:swordfish@proxy"}, "SOCKS"),
        ({"outgoing_proxy": "http://***@proxy/x"}, "no path"),
        ({"ca_bundle": "hello"}, "PEM"),
        ({"ca_bundle": CA.chain_pem}, "private key"),
        ({"client_certificate": CLIENT.pem}, "no private key"),
        ({"client_certificate": SHOWN}, "no certificate"),
        ({"services": ["chat"]}, "not a valid choice"),
        ({"services": "files"}, "list"),
    ],
)
def test_what_is_wrong_is_named_by_api_and_admin(api: Management, change: dict[str, Any], words: str) -> None:
    backend = make_backend(models={})
    (name,) = change
    error = api.error(400, "PATCH", f"backends/{backend.id}", change)
    assert error["param"].startswith(name)
    assert words in error["message"]
    assert "swordfish" not in error["message"]
    if change != {"services": "files"}:
        page = signed_in("Administrators").post(f"{LIST}{backend.id}/change/", form(**change))
        assert name in page.context["adminform"].form.errors
    assert way_opened(Backend.objects.get()) == Way()


def test_the_admin_takes_keeps_shows_and_forgets_them(django_capture_on_commit_callbacks: Any) -> None:
    backend, admin = make_backend(models={}), signed_in("Administrators")
    path = f"{LIST}{backend.id}/change/"
    with django_capture_on_commit_callbacks(execute=True):
        response = admin.post(path, form(**GIVEN))
    assert "not reachable just now: The outgoing proxy" in told(response)
    assert the_way() == WAY
    assert Backend.objects.get().services == ["files", "images"]
    for reader in (admin, signed_in("Viewers")):
        page = reader.get(path).content.decode()
        for secret in SECRETS:
            assert secret not in page
    page = admin.get(path).content.decode()
    assert "http://***@127.0.0.1:1" in page
    assert SHOWN in page
    kept = form(ca_bundle=CA.pem, services=["files"])
    admin.post(path, kept)
    assert the_way() == WAY
    admin.post(path, form(no_outgoing_proxy="on", no_client_certificate="on", ca_bundle=""))
    assert the_way() == Way()
    assert Backend.objects.get().services == []


def test_a_new_backend_may_have_them_at_once() -> None:
    response = signed_in("Administrators").post(f"{LIST}add/", form(api_key=API_KEY, **GIVEN))
    assert response.status_code == 302, response.context["errors"]
    assert the_way() == WAY


@pytest.mark.parametrize("kind", list(Format))
def test_an_export_with_keys_makes_the_same_again(kind: Format) -> None:
    connected()
    text = entries_written(entries_of(backends_with_mappings(), with_keys=True), kind)
    assert {each.outcome for each in entries_apply(entries_read(text.encode(), kind))} == {"unchanged"}
    Backend.objects.all().delete()
    assert {each.outcome for each in entries_apply(entries_read(text.encode(), kind))} == {"created"}
    assert the_way() == WAY
    assert Backend.objects.get().services == ["files"]


@pytest.mark.parametrize("kind", list(Format))
def test_an_export_without_keys_holds_none_and_leaves_those_that_stand(kind: Format) -> None:
    connected()
    text = entries_written(entries_of(backends_with_mappings()), kind)
    assert not [secret for secret in (*SECRETS, "127.0.0.1:1:", "swordfish", "PRIVATE") if secret in text]
    assert {each.outcome for each in entries_apply(entries_read(text.encode(), kind))} == {"unchanged"}
    assert the_way() == WAY


def test_an_import_names_what_is_wrong() -> None:
    entry = {"name": "one", "api_base_url": "http://127.0.0.1:1/v1", "client_certificate": "x"}
    with pytest.raises(BadRequest, match="entry 1, backend one, client_certificate: "):
        entries_apply([Entry("entry 1", entry)])


def test_rotation_moves_them_too() -> None:
    with with_keys(OLD):
        connected()
    with with_keys(f"{NEW},{OLD}"):
        assert keys_rotate().rotated == 3
    with with_keys(NEW):
        assert the_way() == WAY
        assert all(
            key_ring().is_current(getattr(Backend.objects.get(), c)) for c in (OUTGOING_PROXY, CLIENT_CERTIFICATE)
        )


@pytest.mark.parametrize("column", [OUTGOING_PROXY, CLIENT_CERTIFICATE])
def test_one_that_was_moved_to_another_row_does_not_open_and_puts_the_backend_in_error(
    column: str, api: Management
) -> None:
    one, two = connected("one"), connected("two")
    Backend.objects.filter(id=two.id).update(**{column: getattr(one, column)})
    entries = {entry.name: entry for entry in routing_pools()[0].backends}
    assert (entries["two"].error_kind, entries["two"].way, entries["two"].api_key) == (ErrorKind.KEY, Way(), "")
    assert entries["one"].way == WAY
    two = Backend.objects.get(id=two.id)
    assert backend_test(two).diagnosis.code == "key_unreadable"
    assert "not reachable" in (reach_warning(two) or "")
    with pytest.raises(Conflict):
        entries_of([two], with_keys=True)
    assert api.good("GET", f"backends/{two.id}")["name"] == "two"
    field = column.removesuffix("_sealed")
    api.good("PATCH", f"backends/{two.id}", {field: GIVEN[field]})
    assert Backend.objects.get(id=two.id).error_kind == ""
    routing_pools()
    assert Backend.objects.get(id=two.id).error_kind == ""


def test_a_value_of_one_column_does_not_open_in_another() -> None:
    backend = connected()
    Backend.objects.update(outgoing_proxy_sealed=backend.client_certificate_sealed)
    assert routing_pools()[0].backends[0].error_kind is ErrorKind.KEY


def test_a_copy_has_them_sealed_for_itself() -> None:
    backend = connected()
    copy = Backend.objects.get(id=backend_duplicate(backend.id).id)
    assert way_opened(copy) == WAY
    assert (copy.services, copy.outgoing_proxy_sealed != backend.outgoing_proxy_sealed) == (["files"], True)


def test_a_file_may_leave_them_to_variables(tmp_path: Path) -> None:
    file = tmp_path / "backends.yaml"
    entry = {"name": "one", "api_base_url": "http://127.0.0.1:1/v1", "api_key": None, "services": ["audio"]}
    named = {"outgoing_proxy_env": "THE_PROXY", "client_certificate_env": "THE_CERTIFICATE"}
    file.write_text(json.dumps([entry | named]))
    environ = {"AGENTHUB_BACKENDS_FILE": str(file), "THE_PROXY": PROXY, "THE_CERTIFICATE": CERTIFICATE}
    assert backends_from_environment(environ) == ["one"]
    assert the_way() == Way(proxy=PROXY, client_certificate=CERTIFICATE)
    before = Backend.objects.get()
    assert backends_from_environment(environ) == ["one"]
    assert Backend.objects.get().outgoing_proxy_sealed == before.outgoing_proxy_sealed
    del environ["THE_PROXY"]
    with pytest.raises(EnvError, match="wants its outgoing proxy from THE_PROXY"):
        backends_from_environment(environ)


def test_a_test_goes_by_the_whole_way(tmp_path: Path) -> None:
    context = issued("upstream.invalid", by=CA).server_context(tmp_path, clients_of=CA)
    with running_upstream(context) as upstream, running_proxy() as proxy:
        proxy.resolves, proxy.password = {"upstream.invalid": "127.0.0.1"}, "swordfish"
        backend = connected(api_base_url=upstream.url.replace("127.0.0.1", "upstream.invalid"))
        data = BackendData(outgoing_proxy=proxy.with_user("swordfish"))
        backend = backend_update(backend_id=backend.id, data=data)
        tested = backend_test(backend)
        assert (tested.diagnosis.code, tested.models) == ("ok", ("m1", "m2")), tested
        assert reach_warning(backend) is None
        assert len(upstream.seen) == 1
        assert len(proxy.seen) == 2


def test_the_secret_is_opened_by_its_column() -> None:
    backend = connected()
    assert secret_opened(backend, OUTGOING_PROXY) == PROXY
    assert secret_opened(make_backend("bare"), OUTGOING_PROXY) == ""


def test_operators_may_set_them_and_viewers_may_not(client: Client) -> None:
    backend = make_backend()
    operators = Management(signed_in("Operators"))
    assert operators.good("PATCH", f"backends/{backend.id}", GIVEN)["services"] == ["files", "images"]
    Management(signed_in("Viewers")).error(403, "PATCH", f"backends/{backend.id}", GIVEN)
