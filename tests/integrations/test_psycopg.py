"""psycopg 3 waits by what is patched, whenever it is imported; psycopg2 once it is asked to."""

import pytest

from tests.support.script import run_script

CHOSEN = "print(psycopg.waiting.wait.__name__)"
PATCH = "from gopoll import monkey; monkey.patch_all()"


@pytest.mark.parametrize(
    "code",
    [f"{PATCH}; import psycopg; {CHOSEN}", f"import psycopg; {PATCH}; {CHOSEN}"],
    ids=["patched before", "patched after"],
)
def test_psycopg_does_not_wait_in_c(code):
    pytest.importorskip("psycopg")
    done = run_script(code)
    assert (done.stdout, done.returncode) == ("wait_poll\n", 0), done.stderr


def test_what_the_user_has_chosen_stays():
    pytest.importorskip("psycopg")
    done = run_script(f"{PATCH}; import psycopg; {CHOSEN}", PSYCOPG_WAIT_FUNC="wait_selector")
    assert (done.stdout, done.returncode) == ("wait_selector\n", 0), done.stderr


def test_psycopg2_parks_as_long_as_the_callback_is_installed():
    pytest.importorskip("psycopg2")
    done = run_script(
        f"""
        {PATCH}
        import socket, threading
        import psycopg2
        from psycopg2 import extensions
        from gopoll.integrations import psycopg2 as integration

        listener = socket.create_server(("127.0.0.1", 0))  # it accepts, and hangs up
        dsn = "host=127.0.0.1 port=%d user=nobody sslmode=disable" % listener.getsockname()[1]

        def refuse():
            conn, _ = listener.accept()
            while conn.recv(1) != b"y":  # the client has sent its greeting, and waits
                pass
            conn.close()

        integration.install()
        assert extensions.get_wait_callback() is not None
        server = threading.Thread(target=refuse)
        server.start()
        try:
            psycopg2.connect(dsn)
        except psycopg2.OperationalError as error:
            print("closed" in str(error))
        server.join()
        integration.uninstall()
        assert extensions.get_wait_callback() is None
        listener.close()
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)
