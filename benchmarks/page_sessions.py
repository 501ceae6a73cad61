"""A browser's side of the page's protocol, without a browser."""

from __future__ import annotations

import http.client
import json
import struct
import time

import websocket
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

# As in the page: of so many refreshes one is a run, whether anything asks for it or not.
RESTS = 15


class RunningSession:
    """A session whose every refresh is a run: of the fragment where there is one, else all."""

    def __init__(self, port: int, query: str) -> None:
        self.port, self.query = port, query
        self.fragment = self.heartbeat = ""
        self.beat: dict[str, object] = {}
        self.have = 0
        self.kinds: set[str] = set()
        self.ticks = 0
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            subprotocols=["streamlit"],
            origin=f"http://127.0.0.1:{port}",
            timeout=60,
        )
        self.run(whole=True)

    @property
    def complete(self) -> bool:
        """Whether the page shows all it has: on ours the table of tests comes last."""
        return bool(self.kinds & {"dataframe", "plotly_chart"})

    def refresh(self) -> tuple[float, int]:
        """(seconds, bytes received) of one refresh."""
        return self.run()

    def run(self, *, whole: bool = False) -> tuple[float, int]:
        """One run of the page, or of its fragment."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        if not whole:
            self.ticks += 1
            if self.fragment:
                message.rerun_script.fragment_id = self.fragment
                message.rerun_script.is_auto_rerun = True
            state = message.rerun_script.widget_states.widgets.add()
            state.id = self.heartbeat
            state.json_value = str(self.ticks)
        began, received = time.perf_counter(), 0
        self.socket.send_binary(message.SerializeToString())
        while True:
            data = self.socket.recv()
            received += len(data)
            answer = ForwardMsg.FromString(data)
            self._look(answer)
            if answer.WhichOneof("type") == "script_finished":
                return time.perf_counter() - began, received

    def _look(self, answer: ForwardMsg) -> None:
        if answer.WhichOneof("type") != "delta":
            return
        if answer.delta.fragment_id:
            self.fragment = answer.delta.fragment_id
        element = answer.delta.new_element
        kind = element.WhichOneof("type")
        self.kinds.add(kind or "")
        if kind == "component_instance":
            self.heartbeat = element.component_instance.id
        elif kind == "bidi_component":
            component = element.bidi_component
            if component.component_name.endswith("platform_live_beat"):
                self.beat = json.loads(component.json or component.mixed.json)
            elif component.bytes:
                self.have = max(self.have, _head(component.bytes)["seq"])

    def close(self) -> None:
        """End the session."""
        self.socket.close()


class FollowingSession(RunningSession):
    """A session that asks for what changed, and runs where the page does."""

    def __init__(self, port: int, query: str) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        super().__init__(port, query)

    def refresh(self) -> tuple[float, int]:
        if not self.beat or self.ticks % RESTS == RESTS - 1:
            return self.run()
        self.ticks += 1
        began = time.perf_counter()
        self.http.request("GET", f"/platform/live/{self.beat['feed']}?have={self.have}")
        answer = self.http.getresponse()
        body = answer.read()
        received = len(body) + sum(len(k) + len(v) + 4 for k, v in answer.getheaders())
        head = _head(body) if answer.status == 200 else {}
        if head.get("structure") != self.beat["structure"]:
            _, more = self.run()
            return time.perf_counter() - began, received + more
        self.have = head["seq"]
        return time.perf_counter() - began, received

    def close(self) -> None:
        self.http.close()
        super().close()


Session = RunningSession


def _head(message: bytes) -> dict[str, object]:
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length])
