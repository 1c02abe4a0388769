"""Real servers, started for the tests on 127.0.0.1 and ended with them.

Each is a context manager that yields where the server is, as a mapping that the client programs
get as JSON. It skips the test where the server is not installed.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["BACKENDS", "certificate", "free_port", "served", "until"]

HERE = Path(__file__).parent
HOST = "127.0.0.1"
_PATIENCE = 60.0
_PLACES = ["/usr/sbin", "/usr/local/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]


def binary(*names: str) -> str:
    """The path of the first of these programs that there is; skips the test if there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    return pytest.skip(f"{names[0]} is not installed")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        return sock.getsockname()[1]


def until(ready: Callable[[], object], process: subprocess.Popen[Any], log: Path) -> None:
    """Wait until `ready()` does not raise OSError any more; fail with the log of the server."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            ready()
        except OSError:
            assert process.poll() is None, log.read_text("utf-8", "replace")
            assert time.monotonic() < give_up, log.read_text("utf-8", "replace")
            time.sleep(0.02)
        else:
            return


@contextmanager
def served(
    home: Path, *command: str, port: int | None, user: str | None = None, **env: str
) -> Iterator[subprocess.Popen[Any]]:
    """Run a server in `home` until the block ends; begin when its port takes connections."""
    log = home / f"{Path(command[0]).name}.log"
    with ExitStack() as stack:
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=home,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
            )
        stack.callback(_end, process)
        if port is not None:
            until(lambda: socket.create_connection((HOST, port), 5).close(), process, log)
        yield process


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _servant(home: Path, name: str) -> str | None:
    """The user that a server runs as which refuses to be root; it must reach its home."""
    if os.geteuid() != 0:
        return None
    try:
        servant = pwd.getpwnam(name)
    except KeyError:
        return pytest.skip(f"run by root, it needs the user {name}")
    os.chown(home, servant.pw_uid, servant.pw_gid)
    for parent in home.parents:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return name


@contextmanager
def redis(home: Path) -> Iterator[dict[str, Any]]:
    port = free_port()
    command = [binary("redis-server"), "--bind", HOST, "--port", str(port), "--save", ""]
    with served(home, *command, port=port):
        yield {"host": HOST, "port": port}


@contextmanager
def postgres(home: Path) -> Iterator[dict[str, Any]]:
    initdb, server = binary("initdb"), binary("postgres")
    user, port, data = _servant(home, "postgres"), free_port(), str(home / "data")
    subprocess.run(
        [
            initdb,
            "-D",
            data,
            "-U",
            "gopher",
            "--auth=trust",
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
        ],
        cwd=home,
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        check=True,
        capture_output=True,
    )
    options = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": str(home),
        "max_connections": "150",
        "fsync": "off",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with served(home, server, "-D", data, *settings, port=port, user=user) as process:
        where = {"host": HOST, "port": port, "user": "gopher", "database": "postgres"}
        # It takes connections some time before it answers them.
        until(lambda: _talk(port, b"\0\0\0\x08\x04\xd2\x16\x2f"), process, home / "postgres.log")
        yield where


def _talk(port: int, message: bytes) -> None:
    with socket.create_connection((HOST, port), 5) as sock:
        sock.sendall(message)
        if not sock.recv(1):
            raise ConnectionError


@contextmanager
def mariadb(home: Path) -> Iterator[dict[str, Any]]:
    install, server = binary("mariadb-install-db", "mysql_install_db"), binary("mariadbd")
    user, port, data = _servant(home, "mysql"), free_port(), home / "data"
    subprocess.run(
        [
            *(install, "--no-defaults", "--skip-test-db", f"--datadir={data}"),
            *("--auth-root-authentication-method=normal", f"--user={user or os.environ['USER']}"),
        ],
        cwd=home,
        check=True,
        capture_output=True,
    )
    command = [
        *(server, "--no-defaults", f"--datadir={data}", f"--port={port}"),
        *(f"--bind-address={HOST}", f"--socket={home / 'socket'}", "--max-connections=150"),
        *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"),
    ]
    with served(home, *command, port=port, user=user) as process:
        until(lambda: _talk(port, b""), process, home / "mariadbd.log")
        yield {"host": HOST, "port": port, "user": "root"}


@contextmanager
def memcached(home: Path) -> Iterator[dict[str, Any]]:
    port = free_port()
    command = [binary("memcached"), "-l", HOST, "-p", str(port), "-U", "0"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    with served(home, *command, port=port), delayed(home, port) as where:
        yield where


@contextmanager
def mosquitto(home: Path) -> Iterator[dict[str, Any]]:
    server, port = binary("mosquitto"), free_port()
    config = home / "mosquitto.conf"
    config.write_text(f"listener {port} {HOST}\nallow_anonymous true\nset_tcp_nodelay true\n")
    config.chmod(0o644)
    with served(home, server, "-c", str(config), port=port), delayed(home, port) as where:
        yield where


@contextmanager
def sshd(home: Path) -> Iterator[dict[str, Any]]:
    server, keygen = binary("sshd"), binary("ssh-keygen")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    for name in ("host", "user"):
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)]
        subprocess.run(command, check=True, capture_output=True)
    settings = {
        "ListenAddress": f"{HOST}:{port}",
        "HostKey": home / "host",
        "AuthorizedKeysFile": home / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "SetEnv": f"HOME={home}",  # where no shell finds anything to begin with
        "Subsystem": "sftp internal-sftp",
        "MaxSessions": 60,
        "MaxStartups": 100,
    }
    config = home / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    with served(home, server, "-D", "-e", "-f", str(config), port=port):
        user = pwd.getpwuid(os.geteuid()).pw_name
        yield {"host": HOST, "port": port, "user": user, "key": str(home / "user")}


def certificate(home: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1, and its key: their files."""
    cert, key = str(home / "cert.pem"), str(home / "key.pem")
    subprocess.run(
        [
            *(binary("openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=gopher"),
            *("-addext", f"subjectAltName=IP:{HOST}", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


_NGINX = """
daemon off; master_process off; pid {home}/nginx.pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
    server {{
        listen {host}:{port} ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        location / {{ proxy_pass http://{host}:{upstream}; }}
    }}
}}
"""


@contextmanager
def nginx(home: Path) -> Iterator[dict[str, Any]]:
    server, port, upstream = binary("nginx"), free_port(), free_port()
    cert, key = certificate(home)
    config = home / "nginx.conf"
    names = {"home": home, "host": HOST, "port": port, "upstream": upstream}
    config.write_text(_NGINX.format(**names, cert=cert, key=key))
    with (
        served(home, sys.executable, str(HERE / "slow_http.py"), str(upstream), port=upstream),
        served(home, server, "-e", "stderr", "-p", str(home), "-c", str(config), port=port),
    ):
        yield {"url": f"https://{HOST}:{port}", "ca": cert}


@contextmanager
def delayed(home: Path, target: int) -> Iterator[dict[str, Any]]:
    """What the server at the port `target` says comes 0.2 s later there."""
    port = free_port()
    command = [sys.executable, str(HERE / "slow_wire.py"), str(port), str(target)]
    with served(home, *command, port=port):
        yield {"host": HOST, "port": port}


@contextmanager
def websocket(home: Path) -> Iterator[dict[str, Any]]:
    pytest.importorskip("simple_websocket")
    pytest.importorskip("werkzeug")
    port = free_port()
    with served(home, sys.executable, str(HERE / "slow_websocket.py"), str(port), port=port):
        yield {"url": f"ws://{HOST}:{port}/"}


@contextmanager
def nothing(_home: Path) -> Iterator[dict[str, Any]]:
    yield {}


BACKENDS = {
    "redis": redis,
    "postgres": postgres,
    "mariadb": mariadb,
    "memcached": memcached,
    "mosquitto": mosquitto,
    "sshd": sshd,
    "nginx": nginx,
    "websocket": websocket,
    "nothing": nothing,
}
