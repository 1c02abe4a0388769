"""pymemcache: a pool of connections over a slow wire."""

from crowd import CROWD, done, together, where
from pymemcache.client.base import PooledClient

client = PooledClient((where["host"], where["port"]), max_pool_size=CROWD, no_delay=True)
together(lambda i, _: client.set(f"key{i}", b"%d" % i, noreply=False))
assert together(lambda i, _: client.get(f"key{i}")) == [b"%d" % i for i in range(CROWD)]
found = client.get_many([f"key{i}" for i in range(CROWD)])
assert found == {f"key{i}": b"%d" % i for i in range(CROWD)}
client.close()
done()
