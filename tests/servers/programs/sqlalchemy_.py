"""SQLAlchemy's pool: fifty threads share ten connections, and wait for them in turn."""

from crowd import CROWD, DELAY, done, together, where
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import TimeoutError as NoConnection

drivers = {"postgresql+psycopg": "pg_sleep(:delay)", "postgresql+pg8000": "pg_sleep(:delay)"}
for driver, sleep in drivers.items():
    address = (where["host"], where["port"], where["database"])
    engine = create_engine(
        URL.create(driver, where["user"], None, *address), pool_size=8, max_overflow=2
    )

    def query(i, _, engine=engine, sleep=sleep):
        with engine.connect() as connection:
            statement = text(f"SELECT {sleep}, CAST(:i AS int), pg_backend_pid()")
            return connection.execute(statement, {"delay": DELAY, "i": i}).one()[1:]

    answers = together(query)
    assert [i for i, _ in answers] == list(range(CROWD))
    assert len({pid for _, pid in answers}) == 10, answers
    engine.dispose()

    small = create_engine(engine.url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with small.connect():
        try:
            small.connect()
        except NoConnection:
            pass
        else:
            raise AssertionError
    small.dispose()
done()
