"""kombu: fifty consumers on the transport of redis, or in memory, and one who publishes later."""

import sys
import threading
import time

from crowd import CROWD, DELAY, done, together, where
from kombu import Connection, Queue

url = f"redis://{where['host']}:{where['port']}/0" if where else "memory://"


def connect(i):
    connection = Connection(url).clone() if where else memory
    return connection, Queue(f"{sys.argv[0].rsplit('/', 1)[-1]}{i}")


def consume(i, prepared):
    connection, queue = prepared
    heard = []
    begun.wait(60)

    def hear(body, message):
        heard.append(body)
        message.ack()

    with connection.channel() as channel:
        bound = queue(channel)
        bound.declare()
        while not heard:
            message = bound.get()
            if message is not None:
                hear(message.payload, message)
            elif where:
                with connection.Consumer(bound, callbacks=[hear], channel=channel):
                    connection.drain_events(timeout=20)
            else:
                time.sleep(0.02)
    if where:
        connection.release()
    return heard


def publish():
    begun.wait(60)
    time.sleep(DELAY)
    with Connection(url) as connection:
        producer = connection.Producer()
        for i in range(CROWD):
            queue = connect(i)[1]
            producer.publish({"n": i}, routing_key=queue.name, declare=[queue])


begun = threading.Barrier(CROWD + 1)
memory = Connection(url)
publisher = threading.Thread(target=publish)
publisher.start()
answers = together(consume, connect)
publisher.join()
assert answers == [[{"n": i}] for i in range(CROWD)], answers
memory.release()
done()
