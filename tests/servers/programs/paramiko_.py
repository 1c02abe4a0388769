"""paramiko: fifty commands over five connections, and files through SFTP."""

import io

import paramiko
from crowd import CROWD, DELAY, done, together, where


def connect():
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        where["host"],
        where["port"],
        where["user"],
        key_filename=where["key"],
        allow_agent=False,
        look_for_keys=False,
        banner_timeout=60,
        auth_timeout=60,
    )
    return client


clients = [connect() for _ in range(5)]


def command(i, _):
    _, out, err = clients[i % 5].exec_command(f"sleep {DELAY}; echo {i}; echo e{i} >&2; exit {i}")
    return out.read(), err.read(), out.channel.recv_exit_status()


answers = together(command)
assert answers == [(b"%d\n" % i, b"e%d\n" % i, i) for i in range(CROWD)], answers

data = bytes(range(256)) * 4096
with clients[0].open_sftp() as sftp:
    path = where["key"] + ".upload"
    sftp.putfo(io.BytesIO(data), path)
    back = io.BytesIO()
    sftp.getfo(path, back)
    assert back.getvalue() == data
    sftp.remove(path)
for client in clients:
    client.close()
done()
