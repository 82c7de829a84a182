"""Export and import of backends: the texts, the command, the API and the admin."""

import csv
import io
import json
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from agenthub.core import versions
from agenthub.core.errors import BadRequest
from providers.models import Backend, ModelMapping, Pool
from providers.rules import entries as rules
from providers.rules.entries import Entry, Format, entries_read, entries_written
from providers.selectors import backends_with_mappings
from providers.services.backends import BackendData, backend_update
from providers.services.entries import entries_apply, entries_of
from providers.services.keys import api_key_opened, extra_headers_opened
from tests.factories import API_KEY, make_backend
from tests.management import TOKEN, Management, with_environment
from tests.providers.test_backend_admin import LIST, signed_in, told

pytestmark = pytest.mark.django_db
PRICES = {"price_input_usd": Decimal("1.5e-7"), "price_output_usd": Decimal(0)}


@pytest.fixture
def api() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def full_hub() -> None:
    backend = make_backend(
        "-full",
        label="=1+1",
        rpm_limit=None,
        burst=3,
        tpm_limit=10**12,
        timeout_seconds=7.5,
        weight=9,
        enabled=False,
        pool=Pool.objects.get(name="fallback"),
        metadata={"note": "ä\n“x”, y", "deep": [1, 2.5, None]},
        models={
            "small": {"native_id": "s", **PRICES, "input_modalities": ["text", "image"], "compat": {"a": True}},
            "@odd, “model”": {"reasoning": True, "reasoning_effort": "high", "first_token_timeout_seconds": 33.0},
        },
    )
    backend_update(backend_id=backend.id, data=BackendData(extra_headers={"x-team": "red"}))
    make_backend("keyless", api_key="", api="anthropic-messages", models={})


def contents() -> list[Any]:
    """Everything that a person has set, of all backends."""
    left_out = {"id", "backend", "backend_id", "created_at", "updated_at", "source", "status"}

    def columns(row: Any) -> dict[str, Any]:
        fields = {field.attname for field in row._meta.concrete_fields} - left_out
        return {name: getattr(row, name) for name in fields if not name.endswith("_sealed")}

    return [
        (
            columns(backend),
            api_key_opened(backend),
            extra_headers_opened(backend),
            [columns(mapping) for mapping in backend.mappings.all()],
        )
        for backend in backends_with_mappings().order_by("name")
    ]


@pytest.mark.parametrize("kind", list(Format))
def test_what_is_exported_with_keys_makes_the_same_backends_in_an_empty_hub(kind: Format) -> None:
    full_hub()
    before = contents()
    text = entries_written(entries_of(backends_with_mappings(), with_keys=True), kind)
    Backend.objects.all().delete()
    applied = entries_apply(entries_read(text.encode(), kind))
    assert {each.outcome for each in applied} == {"created"}
    assert contents() == before
    assert set(Backend.objects.values_list("source", flat=True)) == {"import"}
    trail, routing = LogEntry.objects.count(), versions.read_all()["routing"]
    assert {each.outcome for each in entries_apply(entries_read(text.encode(), kind))} == {"unchanged"}
    assert (LogEntry.objects.count(), versions.read_all()["routing"]) == (trail, routing)


@pytest.mark.parametrize("kind", list(Format))
def test_without_keys_none_is_in_the_text_and_those_that_stand_stay(kind: Format) -> None:
    full_hub()
    before = contents()
    text = entries_written(entries_of(backends_with_mappings()), kind)
    assert API_KEY not in text
    assert "x-team" not in text
    assert {each.outcome for each in entries_apply(entries_read(text.encode(), kind))} == {"unchanged"}
    assert contents() == before
    Backend.objects.all().delete()
    full, keyless = entries_apply(entries_read(text.encode(), kind))
    assert "without an API key" in full.notes[0]
    assert api_key_opened(Backend.objects.get(name="-full")) == ""
    assert bool(keyless.notes) == (kind == Format.CSV)  # a cell can't tell none from not given


def test_an_import_updates_by_name_and_only_what_is_given() -> None:
    backend = make_backend(rpm_limit=7)
    (applied,) = entries_apply([Entry("entry 1", {"name": "one", "label": "new", "api_key": "sk-new-key-12345"})])
    assert (applied.id, applied.outcome) == (backend.id, "updated")
    backend = Backend.objects.get()
    assert (backend.label, backend.rpm_limit, api_key_opened(backend)) == ("new", 7, "sk-new-key-12345")
    assert (backend.source, backend.mappings.get().canonical) == ("api", "small")


def test_a_spreadsheet_gets_no_formula_and_gives_back_what_it_got() -> None:
    texts = ["=cmd()", "+1", "-1", "@x", "\t=1", " =1", "'quoted", "'=1", "＝1", "plain", "it's"]
    written = entries_written([{"name": text} for text in texts], Format.CSV)
    cells = [row[0] for row in csv.reader(io.StringIO(written))][1:]
    assert not [cell for cell in cells if cell.lstrip()[:1] in "=+-@＝"]
    assert [rules._cell_opened(cell) for cell in cells] == texts


GOOD = {"name": "good", "api_base_url": "http://127.0.0.1:1/v1"}
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Format.JSON, "{", "not JSON"),
        (Format.JSON, b"\xff\xfe", "not JSON"),
        (Format.JSON, "{}", "list of backends"),
        (Format.JSON, "[" * 100_000, "not JSON"),
        (Format.JSON, "[5]", "entry 1: every entry must be an object with a name"),
        (Format.JSON, '[{"name": "  "}]', "with a name"),
        (Format.JSON, json.dumps([GOOD, GOOD]), "entry 2, name: entry 1 has the name"),
        (Format.JSON, json.dumps([GOOD, {**GOOD, "name": " good "}]), "entry 2, name: entry 1 has the name"),
        (Format.JSON, '[{"name": "x", "timeout_seconds": NaN}]', "can't be stored"),
        (Format.JSON, '[{"name": "x", "metadata": {"a": "\\ud800"}}]', "can't be stored"),
        (Format.JSON, json.dumps([GOOD, GOOD | {"name": "b", "rpm_limit": 0}]), "entry 2, backend b, rpm_limit: "),
        (Format.JSON, json.dumps([GOOD, GOOD | {"name": "b", "rpm": 5}]), "entry 2, backend b has a field rpm"),
        (Format.JSON, json.dumps([GOOD, GOOD | {"name": "b", "pool": "x"}]), "entry 2, backend b, pool: "),
        (
            Format.JSON,
            json.dumps([GOOD, GOOD | {"name": "b", "model_mappings": {"m": {"native": "x"}}}]),
            "field model_mappings.m.native",
        ),
        (
            Format.JSON,
            json.dumps([GOOD, GOOD | {"name": "b", "model_mappings": {"m": {"cost": {"in": 1}}}}]),
            "field model_mappings.m.cost.in",
        ),
        (
            Format.JSON,
            json.dumps([GOOD, GOOD | {"name": "b", "model_mappings": {"m": {"cost": {"input": -1}}}}]),
            "entry 2, backend b, model_mappings.m.cost.input: ",
        ),
        (Format.JSON, json.dumps([{"name": "b"}]), "entry 1, backend b, api_base_url: "),
        (Format.YAML, BOMB, "YAML alias"),
        (Format.YAML, "[" * 100_000, "nested deeper"),
        (Format.YAML, "- !!python/object/apply:os.system [ls]", "neither JSON nor YAML"),
        (Format.YAML, "- name: x\n  api_base_url: http://127.0.0.1:1/v1\n  metadata: {when: 2026-01-01}\n", "metadata"),
        (Format.CSV, "", "must name each column once"),
        (Format.CSV, "name,name\nx,y", "must name each column once"),
        (Format.CSV, "name,label\nx", "row 2: it has 1 cells"),
        (Format.CSV, "name,metadata\nx,{", "row 2, metadata: the cell is not JSON"),
        (Format.CSV, 'name,label\nx,"open', "not CSV"),
        (Format.CSV, "name,label\nx,a\0b", "not CSV"),
        (
            Format.CSV,
            "name,api_base_url,rpm_limit\n\n\ngood,http://127.0.0.1:1/v1,many",
            "row 4, backend good, rpm_lim",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_done(kind: Format, text: str | bytes, words: str) -> None:
    with pytest.raises(BadRequest) as problem:
        entries_apply(entries_read(text if isinstance(text, bytes) else text.encode(), kind))
    assert words in problem.value.message
    assert not Backend.objects.exists()


def test_there_are_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_BYTES", 100)
    with pytest.raises(BadRequest, match="larger than 100 bytes"):
        entries_read(b" " * 101, Format.JSON)
    monkeypatch.setattr(rules, "MOST_ENTRIES", 2)
    for kind, text in ((Format.JSON, '[{"name":"a"},{"name":"b"},{"name":"c"}]'), (Format.CSV, "name\na\nb\nc\n")):
        with pytest.raises(BadRequest, match="more than 2 backends"):
            entries_read(text.encode(), kind)


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("backends", *words, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_writes_and_reads_files(tmp_path: Path) -> None:
    full_hub()
    before = contents()
    file = tmp_path / "out.yml"
    file.touch(0o644)
    run("export", "--with-keys", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = LogEntry.objects.filter(object_repr="-full").latest("id")
    assert (entry.get_action_display(), entry.additional_data) == ("access", {"actor": "command line"})
    assert json.loads(run("export"))[0]["name"] == "-full"
    assert run("export", "--format", "csv").startswith("name,label,")
    Backend.objects.all().delete()
    assert "created" in run("import", str(file))
    assert contents() == before
    file.write_text("- name: new\n  api_base_url: http://127.0.0.1:1\n")
    assert "did you mean http://127.0.0.1:1/v1" in run("import", str(file))


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="required: file"):
        run("import")
    with pytest.raises(CommandError, match=r"nowhere\.json can't be used"):
        run("import", str(tmp_path / "nowhere.json"))
    (tmp_path / "bad.json").write_text("x")
    with pytest.raises(CommandError, match="not JSON"):
        run("import", str(tmp_path / "bad.json"))


def test_the_api_exports_and_imports(api: Management) -> None:
    full_hub()
    before = contents()
    for kind, media_type in (("json", "application/json"), ("yaml", "application/yaml"), ("csv", "text/csv")):
        response = api.ask("GET", f"backends/export?format={kind}&with_keys=true")
        assert response.headers["Content-Type"] == f"{media_type}; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        Backend.objects.all().delete()
        answer = api.client.generic("POST", "/api/admin/backends/import", response.content, content_type=media_type)
        assert [row["outcome"] for row in answer.json()] == ["created", "created"]
        assert contents() == before
    assert "api_key" not in api.good("GET", "backends/export")[0]
    assert "format" in api.error(400, "GET", "backends/export?format=xml")["message"]
    assert api.error(400, "GET", "backends/export?with_keys=perhaps")["param"] == "with_keys"
    assert api.error(400, "POST", "backends/import", [{"name": "x", "rpm_limit": "y"}])["param"].startswith("entry 1.")
    assert "list" in api.error(400, "POST", "backends/import", {})["message"]
    assert api.client.post("/api/admin/backends/import", {"a": "b"}).status_code == 415


def test_keys_are_for_administrators(api: Management) -> None:
    full_hub()
    for role, exports, exports_keys, imports in (
        ("Administrators", 200, 200, 200),
        ("Operators", 200, 403, 200),
        ("Viewers", 200, 403, 403),
    ):
        person = Management(signed_in(role))
        assert person.ask("GET", "backends/export").status_code == exports
        assert person.ask("GET", "backends/export?with_keys=1").status_code == exports_keys
        assert person.ask("POST", "backends/import", []).status_code == imports
    accesses = LogEntry.objects.filter(action=LogEntry.Action.ACCESS)
    assert {entry.actor and entry.actor.username for entry in accesses} == {"Administrators"}


def test_the_admin_exports_what_is_ticked() -> None:
    full_hub()
    ids = list(Backend.objects.filter(name="-full").values_list("pk", flat=True))
    for role, may in (("Administrators", True), ("Viewers", False)):
        client = signed_in(role)
        to_form = client.post(LIST, {"action": "export", "_selected_action": ids})
        page = client.get(to_form["Location"])
        assert (b"with_keys" in page.content) == may
        answer = client.post(to_form["Location"], {"format": "json", "with_keys": "on"})
        (entry,) = json.loads(answer.content)
        assert (entry["name"], entry.get("api_key")) == ("-full", API_KEY if may else None)
    assert client.get(f"{LIST}export/").status_code == 404


def test_the_admin_imports_a_file() -> None:
    admin = signed_in("Administrators")
    assert b"import" in admin.get(LIST).content
    assert admin.get(f"{LIST}to-import", follow=True).status_code == 200
    good = SimpleUploadedFile("b.csv", b"name,api_base_url\nnew,http://127.0.0.1:1/v1\n")
    response = admin.post(f"{LIST}import/", {"file": good})
    assert "new: created. It came without an API key" in told(response)
    assert Backend.objects.get().name == "new"
    for name, text, words in (
        ("b.json", b"[{}]", "object with a name"),
        ("b.txt", b"[]", "must end with"),
        ("b.json", b"", "empty"),
    ):
        page = admin.post(f"{LIST}import/", {"file": SimpleUploadedFile(name, text)})
        assert words in page.content.decode()
    assert signed_in("Viewers").get(f"{LIST}import/").status_code == 403


def test_a_person_who_may_only_add_may_not_import(api: Management) -> None:
    user = User.objects.create_user("half", is_staff=True)
    user.user_permissions.add(*Group.objects.get(name="Operators").permissions.filter(codename="add_backend"))
    client = Client()
    client.force_login(user)
    assert Management(client).error(403, "POST", "backends/import", [])["code"] == "permission_denied"


def test_changes_of_mappings_are_seen() -> None:
    make_backend()
    entry = {"name": "one", "model_mappings": {"small": {"native_id": "other"}, "large": {}}}
    assert entries_apply([Entry("entry 1", entry)])[0].outcome == "updated"
    assert set(ModelMapping.objects.values_list("canonical", "native_id")) == {("small", "other"), ("large", "")}
