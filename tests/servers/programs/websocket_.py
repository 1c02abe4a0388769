"""websocket-client: fifty connections, each of which asks and is answered later."""

import websocket
from crowd import CROWD, done, together, where


def ask(i, ws):
    ws.send(f"message {i}")
    answer = ws.recv()
    ws.send_binary(b"\0" * 100_000)
    assert ws.recv() == b"\0" * 100_000
    ws.close()
    return answer


answers = together(ask, lambda i: websocket.create_connection(where["url"], timeout=30))
assert answers == [f"message {i}" for i in range(CROWD)], answers
done()
