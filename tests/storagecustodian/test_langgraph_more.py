"""What LangGraph's suite leaves out: real graphs, forks, delta channels, foreign classes, atomic writes."""

import operator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from django.db import IntegrityError
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from agenthub.core.errors import Conflict, StateNotStorable
from storagecustodian import threads
from storagecustodian.langgraph import HubSaver
from storagecustodian.models import GraphCheckpoint, GraphValue, GraphWrite

Config = dict[str, dict[str, Any]]


@pytest.fixture
def saver(on_sqlite_file: None) -> HubSaver:
    return HubSaver(owner="7")


@pytest.fixture
def on_both(shared_database: str) -> HubSaver:
    """The saver once on each kind of database, for what its statements differ in."""
    return HubSaver(owner="7")


def thread(name: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": name, **more}}


class Counting(TypedDict):
    steps: Annotated[list[str], operator.add]
    count: int


def counting_graph(saver: HubSaver, *, pause: bool = False) -> Any:
    def first(state: Counting) -> dict[str, Any]:
        return {"steps": ["first"], "count": state["count"] + 1}

    def second(state: Counting) -> dict[str, Any]:
        said = interrupt("go on?") if pause else "second"
        return {"steps": [said], "count": state["count"] + 1}

    builder = StateGraph(Counting)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder.compile(checkpointer=saver)


def test_a_graph_that_was_interrupted_goes_on_in_another_process(saver: HubSaver) -> None:
    counting_graph(saver, pause=True).invoke({"steps": ["in"], "count": 0}, thread())
    done = counting_graph(HubSaver(owner="7"), pause=True).invoke(Command(resume="yes"), thread())
    assert done == {"steps": ["in", "first", "yes"], "count": 2}


async def test_a_graph_runs_async_too(saver: HubSaver) -> None:
    graph = counting_graph(saver)
    await graph.ainvoke({"steps": [], "count": 0}, thread())
    states = [one.values.get("count") async for one in graph.aget_state_history(thread())]
    assert states[0] == 2
    assert len(states) == 4


def test_forks_of_a_thread_do_not_read_each_others_values(saver: HubSaver) -> None:
    graph = counting_graph(saver)
    graph.invoke({"steps": [], "count": 0}, thread())
    start = next(one for one in graph.get_state_history(thread()) if one.next == ("second",))
    forks = {}
    for name in ("left", "right"):
        config = graph.update_state(start.config, {"steps": [name]})
        forks[name] = config, graph.invoke(None, config)
    assert forks["left"][1]["steps"] == ["first", "left", "second"]
    assert forks["right"][1]["steps"] == ["first", "right", "second"]
    for name, (config, _) in forks.items():
        assert graph.get_state(config).values["steps"] == ["first", name]
    versions = [saver.get_next_version("00000000000000000000000000000007.5", None) for _ in range(100)]
    assert len(set(versions)) == 100
    assert all(version.startswith("00000000000000000000000000000008.") for version in versions)


def test_ids_of_threads_hold_any_characters_and_keep_apart(on_both: HubSaver) -> None:
    graph, names = counting_graph(on_both), ["a", "a_b", "a/b", "..", "[x]", "%", "名", "A", "a b"]
    for place, name in enumerate(names):
        graph.invoke({"steps": [name], "count": place}, thread(name))
    assert [graph.get_state(thread(name)).values["steps"][0] for name in names] == names
    assert HubSaver(owner="70").get_tuple(thread("a", checkpoint_ns="")) is None
    assert HubSaver(owner="").get_tuple(thread("a", checkpoint_ns="")) is None
    with pytest.raises(StateNotStorable):
        graph.invoke({"steps": [], "count": 0}, thread("a\0b"))


class Message(TypedDict):
    log: Annotated[
        list[str], DeltaChannel(lambda old, new: [*old, *[x for part in new for x in part]], snapshot_frequency=4)
    ]
    turn: int


def delta_graph(saver: HubSaver) -> Any:
    def talk(state: Message) -> dict[str, Any]:
        return {"log": [f"said {state['turn']}"], "turn": state["turn"] + 1}

    builder = StateGraph(Message)
    builder.add_node("talk", talk)
    builder.add_edge(START, "talk")
    builder.add_edge("talk", END)
    return builder.compile(checkpointer=saver)


def test_pruning_keeps_what_delta_channels_are_built_from(on_both: HubSaver) -> None:
    graph = delta_graph(on_both)
    for turn in range(1, 12):
        graph.invoke({"log": [f"asked {turn}"], "turn": turn}, thread())
        whole = graph.get_state(thread()).values["log"]
        before = GraphCheckpoint.objects.count()
        on_both.prune(["t"])
        assert graph.get_state(thread()).values["log"] == whole, turn
        assert GraphCheckpoint.objects.count() <= before
    assert len(whole) == 22
    # It does prune: the history since the last snapshot stays, no more.
    assert GraphCheckpoint.objects.count() < 20
    graph.invoke({"log": ["more"], "turn": 99}, thread())
    assert graph.get_state(thread()).values["log"] == [*whole, "more", "said 99"]


def test_pruning_forgets_values_that_nothing_holds(saver: HubSaver) -> None:
    graph = counting_graph(saver)
    for _ in range(3):
        graph.invoke({"steps": ["x"], "count": 0}, thread())
    state = graph.get_state(thread()).values
    saver.prune(["t"])
    held = {(value.channel, value.version) for value in GraphValue.objects.all()}
    (row,) = GraphCheckpoint.objects.all()
    assert graph.get_state(thread()).values == state
    assert held <= set(saver.store.get("t", "", None).versions.items())  # type: ignore[union-attr]
    assert row.parent_id == ""
    saver.prune(["t"], strategy="delete")
    assert not any(model._default_manager.exists() for model in (GraphCheckpoint, GraphValue, GraphWrite))
    with pytest.raises(ValueError, match="strategy"):
        saver.prune(["t"], strategy="all")


def test_copies_go_on_by_themselves(on_both: HubSaver) -> None:
    graph = delta_graph(on_both)
    for turn in range(6):
        graph.invoke({"log": [str(turn)], "turn": turn}, thread())
    on_both.copy_thread("t", "copy/of t")
    whole = graph.get_state(thread()).values["log"]
    assert graph.get_state(thread("copy/of t")).values["log"] == whole
    on_both.delete_thread("t")
    graph.invoke({"log": ["on"], "turn": 9}, thread("copy/of t"))
    assert graph.get_state(thread("copy/of t")).values["log"] == [*whole, "on", "said 9"]
    with pytest.raises(Conflict):
        on_both.copy_thread("copy/of t", "copy/of t")


@dataclass
class Unknown:
    """A class that is on nobody's list."""

    what: str


def test_no_object_is_made_of_a_class_that_is_not_on_the_list(saver: HubSaver) -> None:
    checkpoint = empty_checkpoint() | {"channel_values": {"x": Unknown("bad")}, "channel_versions": {"x": "1.0"}}
    saver.put(thread(checkpoint_ns=""), checkpoint, {"source": "loop", "step": 0}, {"x": "1.0"})
    found = saver.get_tuple(thread(checkpoint_ns=""))
    assert found is not None
    assert not isinstance(found.checkpoint["channel_values"]["x"], Unknown)
    allowed = saver.with_allowlist([(Unknown.__module__, "Unknown")]).get_tuple(thread(checkpoint_ns=""))
    assert allowed is not None
    assert allowed.checkpoint["channel_values"]["x"] == Unknown("bad")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last statement of a put fails in the database."""
    broken = threads._PUT.replace("VALUES (%s", "VALUES (CAST(NULL AS text) || %s", 1)
    monkeypatch.setattr(threads, "_PUT", broken)


@pytest.mark.usefixtures("failing")
def test_a_checkpoint_its_values_and_its_writes_are_kept_together_or_not_at_all(on_both: HubSaver) -> None:
    checkpoint = empty_checkpoint() | {"channel_values": {"x": [1]}, "channel_versions": {"x": "1.0"}}
    with pytest.raises(IntegrityError):
        on_both.put_with_writes(
            thread(checkpoint_ns=""),
            checkpoint,
            {"source": "loop", "step": 0},
            {"x": "1.0"},
            [("y", 1)],
            "task",
        )
    assert not any(model._default_manager.exists() for model in (GraphCheckpoint, GraphValue, GraphWrite))


def test_writes_that_come_with_their_checkpoint_are_pending(saver: HubSaver) -> None:
    checkpoint = empty_checkpoint() | {"channel_values": {"x": [1]}, "channel_versions": {"x": "1.0"}}
    saver.put_with_writes(
        thread(checkpoint_ns=""),
        checkpoint,
        {"source": "loop", "step": 0},
        {"x": "1.0"},
        [("y", 1), ("z", 2)],
        "task",
    )
    found = saver.get_tuple(thread(checkpoint_ns=""))
    assert found is not None
    assert found.pending_writes == [("task", "y", 1), ("task", "z", 2)]


def test_lists_longer_than_a_page_come_whole_and_in_order(on_both: HubSaver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PAGE", 3)
    monkeypatch.setattr(threads, "KEYS_AT_ONCE", 4)
    graph = counting_graph(on_both)
    for place in range(4):
        graph.invoke({"steps": [], "count": place}, thread(f"t{place % 2}"))
    ids = [one.config["configurable"]["checkpoint_id"] for one in on_both.list(None)]
    assert len(ids) == 16
    assert ids == sorted(ids, reverse=True)
    assert len(list(on_both.list(None, filter={"source": "input"}))) == 4
    assert len(list(on_both.list(thread("t0"), filter={"source": "loop"}, limit=4))) == 4
    assert list(on_both.list(None, limit=0)) == []
