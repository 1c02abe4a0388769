"""The chat server, as its users meet it: a process of its own, and sockets that talk to it."""

import os
import re
from contextlib import ExitStack

import pytest

from tests.support.example import run_example, started
from tests.support.talker import Talker, joined

pytestmark = pytest.mark.network

WELCOME = "* Welcome! What is your name?"
FAREWELL = "* The server is shutting down. Goodbye!"
LONGEST = 1000
DAN_IS_LOST = ["* dan has left (connection lost)."]
if os.environ.get("GOPOLL_POLLER") == "kqueue":  # libkqueue may take the error for its own
    DAN_IS_LOST.append("* dan has left (hung up).")


@pytest.fixture
def chat():
    """The address of a server that nothing but Ctrl-C ends, and that ends well."""
    with started("chat_server.py", "--port", "0") as server:
        yield server.address()
        status, output = server.interrupt()
        assert (status, output) == (0, "\nGoodbye.\n")


def test_everything_said_reaches_the_others_in_order(chat):
    with joined(chat, "ann", "bob", "cid") as (ann, bob, cid):
        ann.send("hello", "again")
        bob.expect("<ann> hello", "<ann> again")
        bob.send("hi ann")
        ann.expect("<bob> hi ann")  # and not her own words
        cid.expect("<ann> hello", "<ann> again", "<bob> hi ann")


def test_a_line_may_come_in_pieces_and_many_lines_at_once(chat):
    with joined(chat, "ann", "bob") as (ann, bob):
        for piece in (b"he", b"l", b"lo\r\nthere\n\n  \nbo"):
            ann.send_bytes(piece)
        ann.send_bytes(b"b\n" + b"".join(b"%d\n" % n for n in range(500)))
        bob.expect("<ann> hello", "<ann> there", "<ann> bob")
        bob.expect(*(f"<ann> {n}" for n in range(500)))


def test_names_are_checked_and_nobody_gets_a_name_twice(chat):
    refused = "* A name is 1 to 20 letters, digits, - or _. Try another."
    with joined(chat, "ann") as (ann,), Talker(chat) as stranger:
        stranger.expect(WELCOME)
        for name in ("a b", "x" * 21, "/join den", "b\x1b[2J", "*"):
            stranger.send(name)
            stranger.expect(refused)
        stranger.send("ANN", "bob")
        stranger.expect("* The name ANN is taken. Try another.")
        stranger.expect("* Hello, bob. /help lists what you can do.")
        ann.expect("* bob has come in.")  # and nothing of what came before


def test_nick_changes_the_name_and_frees_the_old_one(chat):
    with joined(chat, "ann", "bob") as (ann, bob):
        ann.send("/nick bob", "/nick", "/nick Änne", "/nick änne")
        ann.expect("* The name bob is taken. Try another.")
        ann.expect("* A name is 1 to 20 letters, digits, - or _. Try another.")
        ann.expect("* You are now Änne.", "* You are now änne.")
        bob.expect("* ann is now Änne.", "* Änne is now änne.")
        bob.send("/nick ann", "hi")
        bob.expect("* You are now ann.")
        ann.expect("* bob is now ann.", "<ann> hi")


def test_rooms_are_apart_and_who_lists_them(chat):
    with joined(chat, "ann", "bob", "cid") as (ann, bob, cid):
        ann.send("/join Den")
        ann.expect("* You are in den. People here: 1.")
        for other in (bob, cid):
            other.expect("* ann has gone to den.")
        bob.send("only for the lobby", "/join den", "only for the den")
        cid.expect("<bob> only for the lobby", "* bob has gone to den.")
        ann.expect("* bob has come in.", "<bob> only for the den")
        bob.expect("* You are in den. People here: 2.")
        for talker, room, people in ((ann, "den", "ann, bob"), (cid, "lobby", "cid")):
            talker.send("/who")
            talker.expect(f"* In {room}: {people}.", "* Rooms: den (2), lobby (1).")
        cid.send("/join den", "/join den", "/who", "/join no such", "/join")
        cid.expect("* You are in den. People here: 3.")
        cid.expect("* In den: ann, bob, cid.", "* Rooms: den (3).")  # an empty room is no more
        cid.expect(*["* A room is 1 to 20 letters, digits, - or _."] * 2)


def test_private_words_reach_one_person_in_any_room(chat):
    with joined(chat, "ann", "bob", "cid") as (ann, bob, cid):
        bob.send("/join den")
        bob.expect("* You are in den. People here: 1.")
        ann.expect("* bob has gone to den.")
        ann.send("/msg BOB meet me at  noon", "/msg dan are you there?", "that is all")
        bob.expect("<ann, in private> meet me at  noon")
        ann.expect("* Nobody here is called dan.")
        cid.expect("* bob has gone to den.", "<ann> that is all")


def test_help_lists_every_command_and_unknown_ones_say_so(chat):
    with joined(chat, "ann") as (ann,):
        ann.send("/help")
        text = [ann.line() for _ in range(6)]
        commands = [found[1] for line in text if (found := re.match(r"\* (/\w+)", line))]
        assert commands == ["/nick", "/join", "/who", "/msg", "/quit"]
        ann.send("/dance now")
        ann.expect("* There is no /dance. /help lists what there is.")


def test_departures_are_announced_with_their_reason(chat):
    with joined(chat, "ann", "bob", "cid", "dan") as (ann, bob, cid, dan):
        bob.send("/quit", "this is not heard any more")
        bob.expect("* Goodbye (quit).")
        bob.expect_end()
        ann.expect("* bob has left (quit).")
        cid.expect("* bob has left (quit).")  # closing on unread input would be a reset
        cid.close()
        ann.expect("* cid has left (hung up).")
        dan.reset()
        assert ann.line() in DAN_IS_LOST
        ann.send("/who")
        ann.expect("* In lobby: ann.", "* Rooms: lobby (1).")
    with joined(chat, "bob"):
        pass  # the name is free again


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"caf\xe9 \xff\xfe", "caf\N{REPLACEMENT CHARACTER} " + 2 * "\N{REPLACEMENT CHARACTER}"),
        (b"\xed\xa0\x80", 3 * "\N{REPLACEMENT CHARACTER}"),  # half of a pair
        (b"bell\x07 \x1b[31mred\x1b[0m", "bell   [31mred [0m"),
        (b"null\0 and\x7f \xc2\x9b2J", "null  and   2J"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt\u2028<bob> I agree".encode(), "txt <bob> I agree"),
        (b"one\rtwo", "one two"),
        ("grüße, 世界 🐹".encode(), "grüße, 世界 🐹"),
    ],
)
def test_what_is_no_text_is_harmless(chat, sent, seen):
    with joined(chat, "ann", "bob") as (ann, bob):
        ann.send_bytes(sent + b"\n")
        bob.expect(f"<ann> {seen}")


def test_the_longest_line_passes_and_a_longer_one_is_the_last(chat):
    with joined(chat, "ann", "bob") as (ann, bob):
        ann.send("x" * LONGEST)
        bob.expect(f"<ann> {'x' * LONGEST}")
        ann.send("x" * (LONGEST + 1))
        ann.expect(f"* Goodbye (line longer than {LONGEST} bytes).")
        ann.expect_end()
        bob.expect(f"* ann has left (line longer than {LONGEST} bytes).")


def test_a_line_that_never_ends_is_ended(chat):
    with joined(chat, "ann", "bob") as (ann, bob):
        with pytest.raises(OSError):  # a reset or a broken pipe
            while True:
                ann.send_bytes(b"x" * 65536)
        bob.expect(f"* ann has left (line longer than {LONGEST} bytes).")
        bob.send("/who")
        bob.expect("* In lobby: bob.")


def test_the_number_of_clients_is_bounded():
    with started("chat_server.py", "--port", "0", "--max-clients", "2") as server:
        address = server.address()
        with ExitStack() as stack, joined(address, "ann") as (ann,):
            unnamed = stack.enter_context(Talker(address))  # counts, too
            unnamed.expect(WELCOME)
            with Talker(address) as refused:
                refused.expect("* Sorry, the server is full. Try again later.")
                refused.expect_end()
            unnamed.close()
            while True:  # the server has to notice first
                with Talker(address) as bob:
                    if bob.line() == WELCOME:
                        break
            ann.send("/who")
            ann.expect("* In lobby: ann.")
        assert server.interrupt()[0] == 0


def test_the_idle_are_told_and_leave():
    with started("chat_server.py", "--port", "0", "--idle-timeout", "0.5") as server:
        address = server.address()
        with Talker(address) as unnamed, Talker(address) as drip:
            drip.send_bytes(b"half a li")  # is no sign of life
            for talker in (unnamed, drip):
                talker.expect(WELCOME, "* Goodbye (silent for 0.5 seconds).")
                talker.expect_end()
        assert server.interrupt()[0] == 0


def test_who_never_reads_is_dropped_and_the_others_miss_nothing(chat):
    with (
        joined(chat, "ann", "bob") as (ann, bob),
        Talker(chat, receive_buffer=2048) as mute,
    ):
        mute.send("mute")
        for talker in (ann, bob):
            talker.expect("* mute has come in.")
        gone = 0
        for batch in range(1000):
            words = [f"{batch} {n} {'.' * 900}" for n in range(20)]
            ann.send(*words)
            for word in words:
                line = bob.line()
                if line == "* mute has left (did not keep up).":
                    gone += 1
                    line = bob.line()
                assert line == f"<ann> {word}"
            if gone:
                break
        assert gone == 1
        ann.expect("* mute has left (did not keep up).")


def test_ctrl_c_says_farewell_to_everybody():
    with started("chat_server.py", "--port", "0") as server:
        address = server.address()
        with joined(address, "ann", "bob") as talkers, Talker(address) as unnamed:
            unnamed.expect(WELCOME)
            talkers[0].send_bytes(b"half a li")
            server.process.send_signal(2)
            for talker in (*talkers, unnamed):
                talker.expect(FAREWELL)
                talker.expect_end()
        assert server.end() == (0, "\nGoodbye.\n")


def test_ctrl_c_does_not_wait_for_ever_for_who_stays():
    with started("chat_server.py", "--port", "0") as server:
        address = server.address()
        with joined(address, "ann") as (ann,), Talker(address, receive_buffer=2048):
            assert server.interrupt() == (0, "\nGoodbye.\n")  # nobody has hung up
            ann.expect(FAREWELL)


def test_it_says_how_to_connect_and_what_it_takes():
    with started("chat_server.py", "--port", "0") as server:
        line = server.process.stdout.readline()
        found = re.fullmatch(r"Listening on (127\.0\.0\.1):(\d+)\. Connect with: nc \1 \2\n", line)
        assert found, line
        again = run_example("chat_server.py", "--port", found[2])
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr.startswith("cannot listen: ")
        assert "Address already in use" in again.stderr
    usage = run_example("chat_server.py", "--help")
    assert usage.returncode == 0
    for option in ("--host", "--port", "--max-clients", "--idle-timeout"):
        assert option in usage.stdout
    assert "cannot listen" in run_example("chat_server.py", "--port", "70000").stderr
