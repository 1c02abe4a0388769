"""Sphinx configuration: `python -m sphinx -n -W docs OUTPUT`."""

import importlib
from types import ModuleType

import gopoll

project = "gopoll"
author = "The gopoll developers"
copyright = "2026, The gopoll developers"
version = release = gopoll.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"gopoll {release}"
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "groupwise"}
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
toc_object_entries_show_parents = "hide"

# Nitpicky about gopoll's own names. The standard library's are not looked up, so that the build
# needs no network.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!gopoll\.).*"),
    (r"py:.*", r"gopoll\.(\w+\.)*_?[A-Z](_co|_contra)?"),  # type variables
    (r"py:.*", r"gopoll\.(\w+\.)*_\w+"),  # private protocols
    (r"py:.*", r"gopoll\.runtime\.scope\.Endable"),  # what a context is to what waits
]

PUBLIC_MODULES = [
    "gopoll",
    "gopoll.context",
    "gopoll.debug",
    "gopoll.errgroup",
    "gopoll.monkey",
    "gopoll.net",
    "gopoll.os.file",
    "gopoll.os.process",
    "gopoll.os.signal",
    "gopoll.os.watch",
    "gopoll.sync",
    "gopoll.testing",
    "gopoll.time",
]


def public_names():
    """Map where each public object is defined to the name under which it is documented."""
    names = {}
    for module in PUBLIC_MODULES:
        room = importlib.import_module(module)
        for name in room.__all__:
            value = getattr(room, name)
            if not isinstance(value, ModuleType):
                made = value if hasattr(value, "__qualname__") else type(value)
                names.setdefault(f"{made.__module__}.{made.__qualname__}", f"{module}.{name}")
    return names


def resolve_public_name(app, env, node, contnode):
    """Resolve `gopoll.net.conn.Conn`, as signatures spell it, to `gopoll.net.Conn`."""
    if node.get("refdomain") != "py":
        return None
    if not hasattr(env, "gopoll_public_names"):
        env.gopoll_public_names = public_names()
    target = env.gopoll_public_names.get(node["reftarget"])
    if target is None:
        return None
    python = env.get_domain("py")
    # As "obj", since autodoc refers to functions and classes alike as classes.
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


def setup(app):
    app.connect("missing-reference", resolve_public_name)
