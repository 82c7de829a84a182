"""States for tests."""

from typing import Any


def state(iteration: int = 1, **more: Any) -> dict[str, Any]:
    """What an agent keeps."""
    return {
        "agent_id": "7",
        "agent_name": "Scribe",
        "agent_type": "native_llm",
        "status": "working",
        "iteration": iteration,
        "messages": [{"role": "user", "content": f"step {iteration} – ✓"}],
        "executions": [],
        "task_id": "t_1",
        **more,
    }
