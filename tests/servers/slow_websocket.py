"""A websocket server that gives each message back 0.2 s later.

python slow_websocket.py PORT
"""

import sys
import time

import simple_websocket
from werkzeug.serving import run_simple


def app(environ, start_response):
    ws = simple_websocket.Server(environ)
    try:
        while True:
            message = ws.receive()
            time.sleep(0.2)
            ws.send(message)
    except simple_websocket.ConnectionClosed:
        pass
    return []


run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
