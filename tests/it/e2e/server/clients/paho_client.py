"""Speaks MQTT with paho to several nodes: PROTOCOL (4 or 5) HOST:PORT HOST:PORT HOST:PORT.

Subscribes at the first node and publishes at the second; the third one holds what comes and goes.
Prints a line for each thing that worked, and ends with an exception at the first that did not.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 20
LEVEL = int(sys.argv[1])
NODES = [address.rsplit(":", 1) for address in sys.argv[2:]]
PREFIX = f"paho{LEVEL}"


class Peer:
    def __init__(self, name, node, will=None, clean=True, properties=None):
        version = mqtt.MQTTv5 if LEVEL == 5 else mqtt.MQTTv311
        arguments = {} if LEVEL == 5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=f"{PREFIX}-{name}", protocol=version, **arguments
        )
        self.messages, self.answers = queue.Queue(), queue.Queue()
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda client, data, flags, reason, p: self.answers.put((flags, reason))
        self.client.on_subscribe = lambda client, data, mid, reasons, p: self.answers.put(reasons)
        if will:
            self.client.will_set(*will, qos=1)
        host, port = NODES[node]
        arguments = {"clean_start": clean, "properties": properties} if LEVEL == 5 else {}
        self.client.connect(host, int(port), keepalive=30, **arguments)
        self.client.loop_start()
        self.flags, reason = self.answers.get(timeout=PATIENCE)
        assert not reason.is_failure, reason

    def subscribe(self, topic, qos=2, **options):
        if options:
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        else:
            self.client.subscribe(topic, qos)
        reasons = self.answers.get(timeout=PATIENCE)
        assert [reason.value for reason in reasons] == [qos], reasons

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        arguments = {"properties": properties} if properties else {}
        info = self.client.publish(topic, payload, qos, retain, **arguments)
        info.wait_for_publish(PATIENCE)
        assert info.is_published(), f"no acknowledgement for {topic}"

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        """Is gone without a word, as when its cable is pulled."""
        self.client.socket().close()
        self.client.loop_stop()


def levels_of_service(listener, speaker):
    listener.subscribe(f"{PREFIX}/qos/#")
    for qos in (0, 1, 2):
        speaker.publish(f"{PREFIX}/qos/{qos}", f"at {qos}", qos)
        message = listener.next()
        assert (message.topic, message.payload, message.qos) == (
            f"{PREFIX}/qos/{qos}", f"at {qos}".encode(), qos), message
        assert not message.retain
    # Deliveries of different levels may overtake each other, those of one may not.
    for n in range(100):
        speaker.client.publish(f"{PREFIX}/qos/many", str(n), 1)
    heard = [int(listener.next().payload) for _ in range(100)]
    assert heard == list(range(100)), heard
    print("QoS 0, 1 and 2 across nodes, in order")


def retained(speaker):
    speaker.publish(f"{PREFIX}/kept", "first", 1, retain=True)
    speaker.publish(f"{PREFIX}/kept", "second", 1, retain=True)
    late = Peer("late", 2)
    late.subscribe(f"{PREFIX}/kept")
    message = late.next()
    assert (message.payload, message.retain) == (b"second", True), message
    speaker.publish(f"{PREFIX}/kept", b"", 1, retain=True)
    assert late.next().payload == b""
    late.leave()
    print("retained at one node, read at another, cleared")


def will(listener):
    listener.subscribe(f"{PREFIX}/will")
    lost = Peer("lost", 2, will=(f"{PREFIX}/will", "gone"))
    lost.vanish()
    assert listener.next().payload == b"gone"
    polite = Peer("polite", 2, will=(f"{PREFIX}/will", "never"))
    polite.leave()
    return "a will of a client at another node"


def shared(speaker):
    members = [Peer(f"member-{n}", n) for n in range(3)]
    for member in members:
        member.subscribe(f"$share/{PREFIX}/{PREFIX}/work", 1)
    for n in range(60):
        speaker.publish(f"{PREFIX}/work", str(n), 1)
    heard = []
    while len(heard) < 60:
        for member in members:
            try:
                heard.append(int(member.messages.get(timeout=0.01).payload))
            except queue.Empty:
                pass
    # What came twice would stand in front of this.
    for member in members:
        member.subscribe(f"{PREFIX}/end", 1)
    speaker.publish(f"{PREFIX}/end", "end", 1)
    for member in members:
        message = member.next()
        assert message.topic == f"{PREFIX}/end", (message.topic, message.payload)
        member.leave()
    assert sorted(heard) == list(range(60)), sorted(heard)
    print("a shared subscription with a member at each node: each message once")


def kept_session(speaker):
    properties = None
    if LEVEL == 5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 300
    sleeper = Peer("sleeper", 0, clean=False, properties=properties)
    assert not sleeper.flags.session_present
    sleeper.subscribe(f"{PREFIX}/sleep")
    sleeper.vanish()
    speaker.publish(f"{PREFIX}/sleep", "one", 1)
    speaker.publish(f"{PREFIX}/sleep", "two", 2)
    awake = Peer("sleeper", 2, clean=False, properties=properties)
    assert awake.flags.session_present, "the session was not found at another node"
    assert [awake.next().payload for _ in range(2)] == [b"one", b"two"]
    awake.leave()
    print("a session that was begun at one node goes on at another")


def properties_pass(listener, speaker):
    listener.subscribe(f"{PREFIX}/properties")
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.ResponseTopic = f"{PREFIX}/answer"
    properties.CorrelationData = b"\x00\x01\xff"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 1000
    properties.UserProperty = [("one", "1"), ("two", "2"), ("one", "again")]
    speaker.publish(f"{PREFIX}/properties", "text", 1, properties=properties)
    found = listener.next().properties
    assert found.ContentType == "text/plain", found
    assert found.ResponseTopic == f"{PREFIX}/answer", found
    assert found.CorrelationData == b"\x00\x01\xff", found
    assert found.PayloadFormatIndicator == 1, found
    assert 990 <= found.MessageExpiryInterval <= 1000, found
    assert found.UserProperty == [("one", "1"), ("two", "2"), ("one", "again")], found
    print("properties pass through")


def no_local():
    own = Peer("own", 0)
    own.subscribe(f"{PREFIX}/echo", 1, noLocal=True)
    own.publish(f"{PREFIX}/echo", "mine", 1)
    other = Peer("other", 1)
    other.publish(f"{PREFIX}/echo", "another's", 1)
    assert own.next().payload == b"another's"
    own.leave()
    other.leave()
    print("no local")


def main():
    listener, speaker = Peer("listener", 0), Peer("speaker", 1)
    levels_of_service(listener, speaker)
    retained(speaker)
    print(will(listener))
    kept_session(speaker)
    if LEVEL == 5:
        shared(speaker)
        properties_pass(listener, speaker)
        no_local()
    # Nothing came that was not asked for, such as the will of the one who said goodbye.
    speaker.publish(f"{PREFIX}/will", "end", 1)
    assert listener.next().payload == b"end"
    listener.leave()
    speaker.leave()
    print("all")


main()
