"""Client libraries that were written for threads, against the servers that they were written for.

In each program fifty threads do what the server delays by 0.2 s: all have begun before the first
has ended, in one OS thread under the patch, with right answers, and nothing on stderr. On real
threads the same programs show that they, and the servers, are right.
"""

import sys
from importlib.util import find_spec

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

CLIENTS = {  # a program: the server it talks to, and the libraries it needs
    "redis_": ("redis", "redis"),
    "pymysql_": ("mariadb", "pymysql"),
    "psycopg_": ("postgres", "psycopg"),
    "psycopg2_": ("postgres", "psycopg2"),
    "pg8000_": ("postgres", "pg8000"),
    "sqlalchemy_": ("postgres", "sqlalchemy psycopg pg8000"),
    "pymemcache_": ("memcached", "pymemcache"),
    "paramiko_": ("sshd", "paramiko"),
    "mqtt": ("mosquitto", "paho"),
    "websocket_": ("websocket", "websocket"),
    "requests_": ("nginx", "requests"),
    "httpx_": ("nginx", "httpx"),
    "kombu_": ("redis", "kombu redis"),
}


def need(libraries):
    # What is imported is there, though it may not say where from: kombu is lazy, and has no spec.
    absent = (name for name in libraries.split() if name not in sys.modules)
    missing = [name for name in absent if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.mark.parametrize("kind", ["threads", "goroutines"])
@pytest.mark.parametrize("name", CLIENTS)
def test_client(name, kind, backend, run_client):
    server, libraries = CLIENTS[name]
    need(libraries)
    run_client(name, kind, backend(server))


@pytest.mark.parametrize("kind", ["threads", "goroutines"])
def test_kombu_in_memory(kind, backend, run_client):
    need("kombu")
    run_client("kombu_", kind, backend("nothing"))


@pytest.mark.parametrize("kind", ["threads", "goroutines"])
def test_psycopg_in_pure_python(kind, backend, run_client):
    need("psycopg")
    run_client("psycopg_", kind, backend("postgres"), PSYCOPG_IMPL="python")
