"""psycopg2 with the wait callback."""

import os

import psycopg2
from crowd import CROWD, DELAY, done, together, where

if os.environ.get("CROWD_THREADS") == "1":
    from gopoll.integrations import psycopg2 as integration

    integration.install()

address = {"host": where["host"], "port": where["port"], "user": where["user"]}


def connect(_=None):
    return psycopg2.connect(**address, dbname=where["database"])


def query(i, connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s), %s::int", (DELAY, i))
        answer = cursor.fetchone()[1]
    connection.commit()
    connection.close()
    return answer


assert together(query, connect) == list(range(CROWD))

connection = connect()
with connection, connection.cursor() as cursor:
    cursor.execute("SELECT repeat('x', 5000000)")
    assert cursor.fetchone() == ("x" * 5_000_000,)
    try:
        cursor.execute("SELECT nothing")
    except psycopg2.errors.UndefinedColumn:
        connection.rollback()
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)
connection.close()

if os.environ.get("CROWD_THREADS") == "1":
    import gopoll

    # A query that is given up costs its connection, and nothing else.
    connection, other = connect(), connect()
    try:
        with gopoll.timeout(DELAY), connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
    except TimeoutError:
        assert connection.closed
    with other.cursor() as cursor:
        cursor.execute("SELECT 2")
        assert cursor.fetchone() == (2,)
    other.close()

try:
    psycopg2.connect(host=where["host"], port=1, user="nobody")
except psycopg2.OperationalError as error:
    if "refused" not in str(error):
        raise
done()
