"""pg8000: PostgreSQL in pure Python."""

import pg8000.dbapi
from crowd import CROWD, DELAY, done, together, where


def query(i, connection):
    cursor = connection.cursor()
    cursor.execute("SELECT pg_sleep(%s), %s::int", (DELAY, i))
    answer = cursor.fetchone()[1]
    connection.close()
    return answer


assert together(query, lambda _: pg8000.dbapi.connect(**where)) == list(range(CROWD))
done()
