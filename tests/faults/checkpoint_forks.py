"""Writers and restorers of checkpoints as forked processes that die at any instant, and what must hold afterwards."""

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.db import DatabaseError, connection, connections

from agenthub.core.errors import CheckpointNotFound, StaleEpoch
from storagecustodian.filemode import FileCheckpoints
from storagecustodian.models import AgentLine, Checkpoint, Restore
from storagecustodian.rules.kinds import Kind
from storagecustodian.selectors import document_of, latest_of_agent, line_of
from storagecustodian.services.restoring import checkpoint_restore
from storagecustodian.services.saving import checkpoint_files, checkpoint_save
from storagecustodian.store import FileName
from tests.faults.forks import forget_connections, fork, kill

AGENTS = ("a", "a_b", "a/../b")
LONGEST_PAUSE_SECONDS = 0.03


def state(n: int) -> dict[str, Any]:
    """The n-th state, of some length between a few bytes and 40 KB; a torn one can't be like it."""
    return {"iteration": n, "text": f"{n}," * random.Random(n).choice([1, 300, 8_000])}


def is_whole(kept: Mapping[str, Any]) -> bool:
    """Whether a state is one that was saved."""
    return kept == state(kept["iteration"])


def note(notes: int, *words: object) -> None:
    """Write down what was promised."""
    os.write(notes, (" ".join(map(str, words)) + "\n").encode())


def promised(notes: Path) -> list[list[str]]:
    """What was written down; a line that was cut off was not."""
    return [line.split() for line in notes.read_text().rpartition("\n")[0].splitlines()] if notes.exists() else []


def opened(notes: Path) -> int:
    """The notes, to be added to."""
    return os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def save_for_ever(notes: Path, seed: int) -> NoReturn:
    """A writer that keeps to the epoch that it began in, and loads anew when it is told that this is over."""
    forget_connections()
    chance, handle = random.Random(seed), opened(notes)
    epochs = {agent_id: line_of(agent_id).epoch for agent_id in AGENTS}
    while True:
        agent_id, n = chance.choice(AGENTS), chance.randrange(10**9)
        try:
            epoch = epochs[agent_id]
            kept = checkpoint_save(agent_id=agent_id, state=state(n), epoch=epoch, note=str(epoch), kind=Kind.AUTO)
            note(handle, "saved", kept.id, n, epoch, kept.sequence)
        except StaleEpoch:
            epochs[agent_id] = latest_of_agent(agent_id).line.epoch
        except DatabaseError:
            connection.close()


def restore_for_ever(notes: Path, seed: int) -> NoReturn:
    """Somebody who sets agents back again and again."""
    forget_connections()
    chance, handle = random.Random(seed), opened(notes)
    while True:
        agent_id = chance.choice(AGENTS)
        try:
            ids = Checkpoint.objects.filter(agent_id=agent_id).order_by("-sequence").values_list("id", flat=True)[:20]
            if ids:
                done = checkpoint_restore(checkpoint_id=chance.choice(list(ids)), by="test")
                note(handle, "restored", agent_id, done.epoch)
        except DatabaseError:
            connection.close()
        time.sleep(chance.uniform(0, 0.02))


def file_for_ever(folder: Path, notes: Path, seed: int) -> NoReturn:
    """Both of them, without a database."""
    chance, handle, checkpoints = random.Random(seed), opened(notes), FileCheckpoints(folder)
    epochs = dict.fromkeys(AGENTS, 0)
    while True:
        agent_id, n = chance.choice(AGENTS), chance.randrange(10**9)
        try:
            if chance.random() < 0.1:
                name = chance.choice(checkpoints.list(agent_id)[:20] or [FileName(0, "ckp_000000000000")])
                note(handle, "restored", agent_id, checkpoints.restore(agent_id, name))
            kept = checkpoints.save(agent_id, state(n), epoch=epochs[agent_id], label=str(epochs[agent_id]))
            note(handle, "saved", kept.id, n, epochs[agent_id], kept.sequence)
        except StaleEpoch as problem:
            epochs[agent_id] = int(problem.message.partition("epoch ")[2].partition(",")[0])
        except CheckpointNotFound:
            continue


def kill_at_random(works: Sequence[Callable[[int], NoReturn]], *, kills: int, seed: int) -> None:
    """Keep the works running, each in a process of its own, and kill one of them again and again."""
    chance = random.Random(seed)
    connections["default"].close()
    if hasattr(connections["default"], "close_pool"):
        connections["default"].close_pool()

    def start(place: int) -> int:
        own_seed = chance.randrange(2**32)
        return fork(lambda: works[place](own_seed))

    children = [start(place) for place in range(len(works))]
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, LONGEST_PAUSE_SECONDS))
            victim = chance.randrange(len(children))
            kill(children[victim])
            children[victim] = start(victim)
    finally:
        for pid in children:
            kill(pid)


def assert_nothing_torn_lost_or_resurrected(notes: Path) -> tuple[int, int]:
    """Compare the promises with the rows and the files; how many saves and restores were promised."""
    lines = promised(notes)
    saved = {line[1]: line for line in lines if line[0] == "saved"}
    restored = [(line[1], int(line[2])) for line in lines if line[0] == "restored"]
    rows = {row.id: row for row in Checkpoint.objects.all()}
    assert saved.keys() - rows.keys() == set(), "acknowledged ones are lost"
    for row in rows.values():
        _assert_whole(row)
    for one in saved.values():
        row = rows[one[1]]
        assert [str(row.iteration), str(row.epoch), str(row.sequence)] == one[2:]
    turns = {(turn.agent_id, turn.epoch) for turn in Restore.objects.all()}
    assert set(restored) - turns == set(), "acknowledged restores are lost"
    for line in AgentLine.objects.all():
        _assert_one_line(line)
    return len(saved), len(restored)


def _assert_whole(row: Checkpoint) -> None:
    """Its hash is right, it is a state that was saved, and its file is whole and the same."""
    document = document_of(row)
    content = checkpoint_files().read(row.agent_id, FileName(row.sequence, row.id)) if row.kind == Kind.AUTO else None
    assert content is None or content.document == document
    assert content is None or is_whole(content.envelope.state)
    assert content is None or row.note == str(row.epoch), "a late write has come through"


def _assert_one_line(line: AgentLine) -> None:
    """Numbers have no gaps, no write of an epoch came after the next had begun, and the latest is of the newest."""
    rows = list(Checkpoint.objects.filter(agent_id=line.agent_id).order_by("sequence").values_list("sequence", "epoch"))
    assert [sequence for sequence, _ in rows] == list(range(1, line.sequence + 1))
    epochs = [epoch for _, epoch in rows]
    assert epochs == sorted(epochs), "a late write has come through"
    latest = latest_of_agent(line.agent_id)
    assert latest.corrupt_skipped == ()
    assert is_whole(latest.envelope.state)
    newest = Restore.objects.filter(agent_id=line.agent_id).order_by("-epoch").first()
    if newest is not None and latest.checkpoint.epoch != line.epoch:
        assert (newest.epoch, newest.checkpoint_id) == (line.epoch, latest.checkpoint.id), "an old epoch is back"


def assert_files_alone_are_whole(folder: Path, notes: Path) -> int:
    """The same for files alone; how many saves were promised."""
    checkpoints, lines = FileCheckpoints(folder), promised(notes)
    restored = {(line[1], int(line[2])) for line in lines if line[0] == "restored"}
    found = {}
    for agent_id in AGENTS:
        epochs, names = [], checkpoints.list(agent_id)
        for name in reversed(names):
            one = checkpoints.load(agent_id, name)
            assert is_whole(one.content.envelope.state)
            assert one.content.about["label"] in ("", str(one.epoch)), "a late write has come through"
            epochs.append(one.epoch)
            found[name.id] = one
        assert len({name.sequence for name in names}) == len(names)
        assert epochs == sorted(epochs), "a late write has come through"
        latest = checkpoints.latest(agent_id)
        assert latest.corrupt_skipped == ()
        newest = max((epoch for agent, epoch in restored if agent == agent_id), default=0)
        assert newest <= checkpoints.epoch(agent_id), "an acknowledged restore is lost"
    saved = {line[1]: line for line in lines if line[0] == "saved"}
    assert saved.keys() - found.keys() == set(), "acknowledged ones are lost"
    assert all(found[key].epoch == int(line[3]) for key, line in saved.items())
    return len(saved)
