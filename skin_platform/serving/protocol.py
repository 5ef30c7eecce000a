"""The protocol: uvicorn's, with bounds on what a client may make it wait for and keep.

Here: bytes and seconds of a request's head, what comes after an early answer, connections that outlive the service or come
after its end, clients that hang up (the application by itself would notice when it answers, which is after the work). Not
here: bodies (``serving.bodies``), answers (``serving.app``).
"""

import json
import socket
import uuid
from asyncio import TimerHandle, Transport
from contextlib import suppress
from typing import Any

import uvicorn
import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from skin_platform.serving.asked import Asked
from skin_platform.serving.errors import CODES

HEAD_BYTES = 65_536  # of request line and headers; a head that comes in one piece may be as long as that piece
HEAD_SECONDS = 15.0  # for a whole head, from the connection's or the request's first byte on
LINGER_SECONDS = 10.0  # for the rest of a body that was answered before it was read
SHUTDOWN_SECONDS = 15.0  # for answers that are on their way when the service is asked to end


class BoundedProtocol(HttpToolsProtocol):
    """One connection. uvicorn alone keeps heads of any length, waits for them for ever, and ends when the last client does."""

    _head: TimerHandle | None = None
    _head_bytes, _is_in_head = 0, True

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more; let what is still worked on for this client be given up."""
        self._end_head()
        super().connection_lost(exc)
        asked = self.cycle.scope.get("asked") if self.cycle is not None else None
        if isinstance(asked, Asked):  # else nothing of it has reached the application
            asked.hang_up()

    def data_received(self, data: bytes) -> None:
        """Hand on what came; refuse a head that has grown too long."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse("headers_too_large", f"the head of a request may have {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers after a body say nothing to us."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._end_head()
        self._is_in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Give a client that was answered before it had sent everything some time for the rest."""
        cycle = self.cycle
        super().on_response_complete()
        if cycle.more_body:
            self.loop.call_later(LINGER_SECONDS, lambda: self._close() if self.cycle is cycle and cycle.more_body else None)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the one shape of errors."""
        self._refuse("invalid_http", msg)

    def shutdown(self) -> None:
        """End once what is being answered is through; a client that does not read cannot hold the service up."""
        super().shutdown()
        self.loop.call_later(SHUTDOWN_SECONDS, self.transport.abort)

    def _await_head(self) -> None:
        self._end_head()
        self._head_bytes, self._is_in_head = 0, True
        self._head = self.loop.call_later(HEAD_SECONDS, self._close)

    def _end_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, code: str, message: str) -> None:
        request_id = uuid.uuid4().hex
        body = json.dumps({"code": code, "message": message, "request_id": request_id}).encode()
        head = f"content-type: application/json\r\nconnection: close\r\nx-request-id: {request_id}\r\n" \
               f"content-length: {len(body)}\r\n\r\n"
        self.transport.write(STATUS_LINE[CODES[code].status] + head.encode() + body)
        self._end_head()
        self.transport.close()


class RefusingServer(uvicorn.Server):
    """A server that, asked to end, refuses connections at once.

    To close the socket is not enough: BentoML's supervisor holds it, too, so that clients would be connected and wait for the
    reset at its end.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is on its way, and nothing that comes from now on."""
        for listening in sockets or []:
            with suppress(OSError):  # not every system can stop a socket for all who hold it
                listening.shutdown(socket.SHUT_RDWR)
        await super().shutdown(sockets)


def install() -> None:
    """Let the servers of this process speak it: BentoML starts uvicorn and offers no setting for this."""
    protocols: dict[str, Any] = uvicorn.config.HTTP_PROTOCOLS
    protocols["auto"] = f"{__name__}:{BoundedProtocol.__name__}"
    uvicorn.Server = RefusingServer  # type: ignore[misc]
