"""Which of CPython's test modules are run, and what they need."""

import importlib.util

__all__ = ["MODULES", "QUICK", "exists", "resources", "split_name"]

# Everything in the standard library that waits, and what is built on it. A module that a version
# of Python does not have (asyncore since 3.12) is left out there.
_MODULES = """
test_select test_poll test_epoll test_selectors
test_thread test_threading_local test_threadsignals test_threading test_queue
test_time test_sched test_signal test_contextlib
test_fork1 test_wait3 test_wait4 test_subprocess test_os test_io
test_socket test_ssl test_socketserver
test_httplib test_httpservers test_ftplib test_smtplib test_poplib test_imaplib
test_urllib2_localnet test_xmlrpc test_docxmlrpc test_wsgiref test_asyncore test_asynchat
test_concurrent_futures test_logging
test_asyncio.test_events test_asyncio.test_streams test_asyncio.test_sock_lowlevel
test_asyncio.test_server test_asyncio.test_subprocess test_asyncio.test_runners
"""
MODULES = tuple(_MODULES.split())

# Less than two minutes for both runs together, most of which the tests sleep.
_QUICK = """
test_select test_poll test_epoll test_selectors
test_thread test_threading_local test_queue
test_time test_sched test_contextlib
test_wait4 test_os
test_socketserver
test_httplib test_httpservers test_smtplib
test_urllib2_localnet test_wsgiref
test_asyncio.test_sock_lowlevel test_asyncio.test_server test_asyncio.test_runners
"""
QUICK = tuple(_QUICK.split())

# What regrtest calls a resource: tests that take time run, tests that leave the machine do not.
_RESOURCES = ("cpu", "walltime")
_LOOPBACK = {"test_socketserver"}  # asks for "network", and talks to nobody but itself


def exists(name: str) -> bool:
    """Whether this Python has the module `name`."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even its package
        return False


def resources(module: str) -> list[str]:
    """The resources that `module` may use."""
    return [*_RESOURCES, "network"] if module in _LOOPBACK else [*_RESOURCES]


def split_name(package: str, module: str, case: str) -> str:
    """The id of a case without the name of its module: "BasicTest.test_it"."""
    return case.replace(f"{package}.{module}.", "", 1)
