"""psycopg2 on goroutines: its queries park, once it has a wait callback.

python -m gopoll examples/integrations/psycopg2_queries.py "host=127.0.0.1 dbname=postgres"
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg2

from gopoll.integrations import psycopg2 as integration

integration.install()


def square(n: int) -> int:
    with psycopg2.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.2), %s * %s", (n, n))
        answer: int = cursor.fetchone()[1]
    connection.close()
    return answer


with ThreadPoolExecutor(max_workers=20) as pool:  # twenty goroutines
    print(sum(pool.map(square, range(20))))
