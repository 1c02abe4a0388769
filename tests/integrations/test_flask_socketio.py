"""Flask-SocketIO in its mode for threads, by the example that shows it."""

import json
import sys

import pytest

from tests.support.gunicorn import gunicorn
from tests.support.script import ROOT, run_script

for name in ("gunicorn", "flask_socketio", "simple_websocket", "websocket", "requests"):
    pytest.importorskip(name)
pytestmark = pytest.mark.timeout(120)

CODE = (ROOT / "examples" / "integrations" / "socketio_app.py").read_text("utf-8")

CLIENTS = """
import json, sys, threading
from queue import Queue
{patch}
import socketio

url, transports = sys.argv[1], sys.argv[2:]

def client():
    made = socketio.Client()
    made.connect(url, transports=transports)
    return made

start = threading.Barrier(20)
answers = {{}}

def ask(n):
    one = client()
    start.wait(60)
    answers[n] = one.call("ask", f"question {{n}}", timeout=60)
    one.disconnect()

threads = [threading.Thread(target=ask, args=[n]) for n in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert answers == {{n: f"QUESTION {{n}}" for n in range(20)}}, answers

one, other, said, numbers = client(), client(), Queue(), Queue()
other.on("said", said.put)
one.on("number", numbers.put)
one.emit("say", "hello")
assert said.get(timeout=60) == "hello"
one.emit("count", 3)
assert [numbers.get(timeout=60) for _ in range(3)] == [0, 1, 2]
one.disconnect()
other.disconnect()
print("done")
"""


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("patch", ["", "from gopoll import monkey; monkey.patch_all()"])
def test_everybody_is_answered_at_once(tmp_path, transport, patch):
    code = CODE + (
        "\nimport os\n"
        "@app.get('/threads')\n"
        "def threads():\n"
        "    return [len(os.listdir('/proc/self/task'))]\n"
    )
    with gunicorn(tmp_path, code) as server:
        url = f"http://127.0.0.1:{server.ports[0]}"
        done = run_script(CLIENTS.format(patch=patch), url, transport, timeout=60)
        assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
        if sys.platform == "linux":
            assert json.loads(server.get("/threads")) == [1]
        server.kill()
        assert server.wait() == 0
    assert "Traceback" not in server.log
