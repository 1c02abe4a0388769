"""psycopg 3, in its C and its Python form: queries, pipelines, COPY, notifications, a timeout."""

import os
import threading

import psycopg
from crowd import CROWD, DELAY, done, together, where

address = {"host": where["host"], "port": where["port"], "user": where["user"]}


def connect(_=None):
    return psycopg.connect(**address, dbname=where["database"], autocommit=True)


def query(i, connection):
    answer = connection.execute("SELECT pg_sleep(%s), %s::int", (DELAY, i)).fetchone()[1]
    connection.close()
    return answer


assert together(query, connect) == list(range(CROWD))

with connect() as connection:
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", [n]) for n in range(100)]
    assert [cursor.fetchone()[0] for cursor in cursors] == list(range(100))

    connection.execute("CREATE TABLE numbers (n int, text text)")
    with connection.cursor().copy("COPY numbers FROM STDIN") as copy:
        for n in range(20_000):
            copy.write_row((n, "x" * 100))
    with connection.cursor().copy("COPY numbers TO STDOUT") as copy:
        assert sum(1 for _ in copy.rows()) == 20_000
    connection.execute("DROP TABLE numbers")

    connection.execute("SET statement_timeout = 100")
    try:
        connection.execute("SELECT pg_sleep(30)")
    except psycopg.errors.QueryCanceled:
        connection.execute("SET statement_timeout = 0")

    connection.execute("LISTEN news")

    def notify():
        with connect() as other:
            other.execute("NOTIFY news, 'today'")

    threading.Timer(DELAY, notify).start()
    assert [n.payload for n in connection.notifies(timeout=20, stop_after=1)] == ["today"]

if os.environ.get("CROWD_THREADS") == "1":
    import gopoll

    with connect() as other:
        connection = connect()
        try:
            with gopoll.timeout(DELAY):
                connection.execute("SELECT pg_sleep(60)")
        except TimeoutError:
            connection.close()  # it is in the middle of a query
        assert other.execute("SELECT 2").fetchone() == (2,)
done()
