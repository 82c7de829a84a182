"""What is passed through: images, sound, moderations, rankings, files; by the official client where it knows them."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from agenthub.demo.standin.content import binary
from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.hubs import MODES
from tests.proxy.conftest import MakeRoute, new_key

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("mode")]


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs in every mode."""
    return str(request.param)


def test_images_are_made_and_their_tokens_counted(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route("only")
    with hub.openai(key) as client:
        made = client.images.generate(model=one.model, prompt="A hub.")
    assert made.data
    assert made.data[0].b64_json
    record = hub.record(one.model)
    assert (record["endpoint"], record["status"]) == ("images/generations", 200)
    assert record["input_tokens"] + record["output_tokens"] > 0
    assert record["estimated"] is False or record["estimated"] == 0


def test_an_image_to_be_changed_reaches_the_backend_whole_with_its_own_model_name(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    one = route("only")
    image = os.urandom(3_000_000)
    with hub.openai(key) as client:
        client.images.edit(model=one.model, prompt="Äöü 漢字", image=("a.png", image, "image/png"))
    [seen] = one.seen("only")
    assert seen.fields["model"] == "native-only"
    assert seen.fields["prompt"] == "Äöü 漢字"
    assert seen.file_sha256 == hashlib.sha256(image).hexdigest()


def test_speech_comes_as_it_comes(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(binary_bytes=200_000))
    with hub.openai(key) as client:
        spoken = client.audio.speech.create(model=one.model, voice="alloy", input="Hello")
    assert spoken.content == binary(200_000)
    assert spoken.response.headers["content-type"] == "audio/mpeg"
    assert hub.record(one.model)["status"] == 200


def test_speech_that_breaks_off_does_not_look_complete(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(binary_bytes=200_000, cut="reset", cut_after=2))
    with hub.openai(key) as client, pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
        client.audio.speech.create(model=one.model, voice="alloy", input="Hello")
    assert hub.record(one.model)["error_type"] == "stream_broken"


def test_a_recording_is_written_down_by_the_next_backend_where_the_first_fails(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    two = route("first", "second")
    two.script("first", Script(status=500))
    sound = os.urandom(700_000)
    with hub.openai(key) as client:
        written = client.audio.transcriptions.create(model=two.model, file=("a.wav", sound))
    assert written.text
    assert two.asked()["second"] == 1
    assert two.seen("second")[0].file_sha256 == hashlib.sha256(sound).hexdigest()


def test_a_large_form_is_never_in_memory_whole(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route("only")
    size = 96 * 1024 * 1024
    before = peak_kilobytes(hub)
    with hub.openai(key) as client:
        client.audio.transcriptions.create(model=one.model, file=("a.wav", io.BytesIO(bytes(size))))
    assert one.seen("only")[0].body_bytes > size
    assert peak_kilobytes(hub) - before < size // 1024 // 3
    uploads = hub.data_dir / "uploads"
    assert not uploads.exists() or not list(uploads.iterdir())


def peak_kilobytes(hub: Hub) -> int:
    """The most memory that the hub's web process has had."""
    status = Path(f"/proc/{hub.pid('web')}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_a_form_that_is_too_large_or_none_is_refused(
    hub: Hub, key: str, client: httpx.Client, route: MakeRoute
) -> None:
    with hub.settings(max_upload_bytes=2048):
        one = route("only")
        large = client.post("/v1/audio/transcriptions", data={"model": one.model}, files={"file": bytes(4096)})
        assert large.status_code == 413
        assert large.json()["error"]["code"] == "request_too_large"
    header = {"content-type": "multipart/form-data; boundary=x"}
    broken = client.post("/v1/audio/transcriptions", content=b"--x\r\nnonsense", headers=header)
    assert broken.status_code == 400
    assert one.asked() == {"only": 0}


def test_a_moderation_and_a_ranking(hub: Hub, key: str, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    with hub.openai(key) as official:
        assert official.moderations.create(model=one.model, input="x").results
    ranked = client.post("/v1/rerank", json={"model": one.model, "query": "x", "documents": ["a", "b"]})
    assert len(ranked.json()["results"]) == 2
    assert [seen.json["model"] for seen in one.seen("only")] == ["native-only"] * 2


def test_what_names_no_model_goes_to_a_backend_that_is_flagged_for_it(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only", fields={"only": {"services": ["moderations"]}})
    try:
        wait_until(
            lambda: client.post("/v1/moderations", json={"input": "x"}).status_code == 200, "Moderations are served"
        )
        assert "model" not in one.seen("only")[-1].json
        refused = client.post("/v1/rerank", json={"query": "x", "documents": []})
        assert refused.status_code == 404
        assert "flag" in refused.json()["error"]["message"]
        with hub.client(new_key(hub, allowed_models=["other"])) as narrow:
            assert narrow.post("/v1/moderations", json={"input": "x"}).status_code == 403
    finally:
        one.change("only", services=[])


def test_files_are_kept_at_the_backends_that_are_flagged_for_them(hub: Hub, key: str, route: MakeRoute) -> None:
    two = route("first", "second", fields={name: {"services": ["files"]} for name in ("first", "second")})
    content = b"{}\n" * 50_000
    try:
        with hub.openai(key) as client:
            wait_until(lambda: files_served(client), "Files are served")
            kept = client.files.create(file=("a.jsonl", content), purpose="batch")
            assert client.files.retrieve(kept.id).bytes == len(content)
            assert client.files.content(kept.id).content == content
            # What only the second has is found there.
            two.script("first", Script(status=500))
            other = client.files.create(file=("b.jsonl", b"{}"), purpose="batch")
            assert client.files.retrieve(other.id).filename == "b.jsonl"
            assert client.files.delete(other.id).deleted
            with pytest.raises(openai.NotFoundError):
                client.files.retrieve("file-unknown")
            assert two.backend("first")["status"] in ("healthy", "cooling")
    finally:
        for name in ("first", "second"):
            two.change(name, services=[])


def files_served(client: openai.OpenAI) -> bool:
    """Whether the hub knows yet where files are."""
    try:
        client.files.list()
    except openai.APIStatusError:
        return False
    return True


def test_paths_that_lead_elsewhere_are_no_files(client: httpx.Client) -> None:
    for path in ("/v1/files/..", "/v1/files/a/b", "/v1/files/%2e%2e/models", "/v1/files/a/content/b"):
        assert client.get(path).status_code == 404


def test_methods_that_a_path_does_not_take_are_named(client: httpx.Client) -> None:
    refused: Any = client.delete("/v1/files")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, POST"
