"""Flask-SocketIO in its mode for threads, which are goroutines: thousands of websockets in one.

    gunicorn -k gopoll.integrations.gunicorn.Worker --chdir examples/integrations socketio_app:app

It needs simple-websocket. `async_mode` must be given: the other modes patch for themselves.
"""

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")


@socketio.on("ask")
def ask(question: str) -> str:
    socketio.sleep(0.2)
    return question.upper()


@socketio.on("say")
def say(text: str) -> None:
    emit("said", text, broadcast=True)


@socketio.on("count")
def count(to: int) -> None:
    def later() -> None:
        for n in range(to):
            socketio.sleep(0.01)
            socketio.emit("number", n)

    socketio.start_background_task(later)
