"""paho-mqtt: fifty clients, each with its network loop, publish and hear through a slow wire."""

import queue

import paho.mqtt.client as mqtt
from crowd import CROWD, done, together, where


def connect(i):
    heard = queue.Queue()
    subscribed = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"visitor{i}")
    client.on_subscribe = lambda *_: subscribed.put(None)
    client.on_message = lambda _c, _u, message: heard.put((message.topic, message.payload))
    client.connect(where["host"], where["port"])
    client.loop_start()
    client.subscribe(f"room/{i}", qos=1)
    subscribed.get(timeout=30)
    return client, heard


def talk(i, connected):
    client, heard = connected
    client.publish(f"room/{i}", b"hello %d" % i, qos=1).wait_for_publish(30)
    answer = heard.get(timeout=30)
    client.disconnect()
    client.loop_stop()
    return answer


answers = together(talk, connect)
assert answers == [(f"room/{i}", b"hello %d" % i) for i in range(CROWD)], answers
done()
