"""redis-py: blocking pops that time out and that are served, pipelines, publish and subscribe."""

import threading
import time

import redis
from crowd import CROWD, DELAY, done, together, where

pool = redis.BlockingConnectionPool(
    host=where["host"], port=where["port"], max_connections=CROWD + 5, timeout=30
)
client = redis.Redis(connection_pool=pool, decode_responses=False)
assert client.ping()

# The server keeps each pop waiting until its time is up.
answers = together(lambda i, _: (i, client.blpop([f"empty{i}"], timeout=DELAY)))
assert answers == [(i, None) for i in range(CROWD)], answers


# Somebody fills the lists while fifty wait for them.
def fill():
    time.sleep(DELAY)
    with client.pipeline() as pipe:
        for i in range(CROWD):
            pipe.rpush(f"list{i}", f"value{i}")
        assert pipe.execute() == [1] * CROWD


filler = threading.Thread(target=fill)
filler.start()
answers = together(lambda i, _: client.blpop([f"list{i}"], timeout=20))
filler.join()
assert answers == [(b"list%d" % i, b"value%d" % i) for i in range(CROWD)], answers


# Publish and subscribe: everybody hears everything, in order.
def subscribe(i):
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    assert pubsub.get_message(timeout=10)["type"] == "subscribe"
    return pubsub


def listen(i, pubsub):
    heard = []
    while len(heard) < 20:
        message = pubsub.get_message(timeout=10)
        assert message["type"] == "message", message
        heard.append(int(message["data"]))
    pubsub.close()
    return heard


def publish():
    other = redis.Redis(host=where["host"], port=where["port"])
    while other.pubsub_numsub("news")[0][1] < CROWD:
        time.sleep(0.01)
    time.sleep(DELAY)
    assert [other.publish("news", n) for n in range(20)] == [CROWD] * 20
    other.close()


publisher = threading.Thread(target=publish)
publisher.start()
assert together(listen, subscribe) == [list(range(20))] * CROWD
publisher.join()


# Pipelines of one thread do not mix with those of another.
def pipeline(i, _):
    for n in range(20):
        with client.pipeline(transaction=True) as pipe:
            pipe.set(f"key{i}", n).get(f"key{i}").incr(f"key{i}")
            assert pipe.execute() == [True, b"%d" % n, n + 1]


together(pipeline, delayed=False)
pool.disconnect()
done()
