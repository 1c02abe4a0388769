"""How each library patches the standard library."""


def patch(library):
    """Patch by gopoll, gevent or eventlet; "threads" patches nothing."""
    if library == "gopoll":
        from gopoll import monkey

        monkey.patch_all()
    elif library == "gevent":
        from gevent import monkey

        monkey.patch_all()
    elif library == "eventlet":
        import eventlet

        eventlet.monkey_patch()
