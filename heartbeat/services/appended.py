"""The list of a component's last errors, grown inside of a statement, so that one serves any number of rows."""

import json
from typing import Any

from django.db.models import F, Func, JSONField, Value

from heartbeat.rules.lateness import LONGEST_TEXT, MOST_ERRORS


class ErrorAppended(Func):
    """`errors` with one more at its end, and without the first where it would hold more than MOST_ERRORS."""

    output_field = JSONField()
    arity = 2

    def __init__(self, *, at: str, text: str, **extra: Any) -> None:
        # A list of one: both databases can join lists, and the text of it is the same for both.
        super().__init__(F("errors"), Value(json.dumps([{"at": at, "text": text[:LONGEST_TEXT]}])), **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:  # noqa: ARG002 - named by Django
        """For SQLite, where JSON is text."""
        errors, errors_params = compiler.compile(self.source_expressions[0])
        entry, entry_params = compiler.compile(self.source_expressions[1])
        grown = f"json_insert({errors}, '$[#]', json_extract({entry}, '$[0]'))"
        sql = (
            f"CASE WHEN json_array_length({errors}) >= {MOST_ERRORS} THEN json_remove({grown}, '$[0]') ELSE {grown} END"
        )
        return sql, (*errors_params, *(*errors_params, *entry_params) * 2)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:  # noqa: ARG002 - named by Django
        """For PostgreSQL."""
        errors, errors_params = compiler.compile(self.source_expressions[0])
        entry, entry_params = compiler.compile(self.source_expressions[1])
        sql = (
            f"CASE WHEN jsonb_array_length({errors}) >= {MOST_ERRORS} THEN ({errors} - 0) || ({entry})::jsonb "
            f"ELSE {errors} || ({entry})::jsonb END"
        )
        return sql, (*errors_params, *(*errors_params, *entry_params) * 2)
