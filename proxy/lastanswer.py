"""uvicorn's protocol in a process that leaves while others serve on: each connection gets one more answer.

A server that closes a kept-alive connection races with the request that the client may just be sending, which is then
lost. So an idle connection is left open, its next answer says `Connection: close`, and only then is it closed. An
answer whose head has gone out before that can be said is followed by one more.
"""

from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from proxy import runtime


class LastAnswerProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose answers say `Connection: close` once its process is leaving."""

    def on_headers_complete(self) -> None:
        """A request has come."""
        super().on_headers_complete()
        serving = runtime.current()
        if serving is not None and serving.leaving:
            self.leave()

    def leave(self) -> None:
        """Let the answers whose head is not out yet be the last."""
        for cycle in (cast(object, self.cycle), *(waiting for waiting, _ in self.pipeline)):
            # The short way's own cycles look for themselves when their head goes out.
            if isinstance(cycle, RequestResponseCycle) and not cycle.response_started:
                cycle.keep_alive = False
