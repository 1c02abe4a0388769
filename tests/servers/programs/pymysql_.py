"""PyMySQL: fifty connections, of which each sleeps in the server."""

import pymysql
from crowd import CROWD, DELAY, done, together, where


def query(i, connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT SLEEP(%s), %s", (DELAY, i))
        answer = cursor.fetchone()
    connection.close()
    return answer


answers = together(query, lambda i: pymysql.connect(**where))
assert answers == [(0, i) for i in range(CROWD)], answers

with pymysql.connect(**where) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT REPEAT('x', 5000000)")  # more than any buffer holds
    assert cursor.fetchone() == ("x" * 5_000_000,)
    try:
        cursor.execute("SELECT nothing")
    except pymysql.err.OperationalError as error:
        if error.args[0] != 1054:
            raise
done()
