"""Versions, names, errors and heart-beats."""

import socket
import time

import stomp
from client import WAIT_SECONDS_MAX, Client, Refused

NAME = "/queue/connections"


def each_version_of_the_protocol_connects_sends_receives_and_leaves(broker):
    for version in ("1.0", "1.1", "1.2"):
        with Client(broker, version) as client:
            assert client.connected.get("version", "1.0") == version, client.connected
            assert client.connected["server"].startswith("holdfast/"), client.connected
            assert client.connected["session"], client.connected
            client.subscribe(f"{NAME}.{version}", ack="client")
            client.send(f"{NAME}.{version}", f"over {version}")
            frame = client.message()
            assert frame.body == f"over {version}", frame
            assert ("ack" in frame.headers) == (version == "1.2"), frame.headers
            client.ack(frame)
        assert broker.waiting(f"connections.{version}") == 0


def any_user_and_virtual_host_is_taken_and_none_is_needed(broker):
    Client(broker, user=None, password=None).disconnect()
    Client(broker, user="admin", password="secret", vhost="elsewhere").disconnect()


def a_client_id_is_given_back_and_refused_to_a_second_connection(broker):
    with Client(broker, headers={"client-id": "connections"}) as first:
        assert first.connected["session"] == "connections", first.connected
        try:
            Client(broker, headers={"client-id": "connections"}).drop()
        except stomp.exception.ConnectFailedException:
            pass
        else:
            raise AssertionError("two connections have one client id")
    Client(broker, headers={"client-id": "connections"}).disconnect()


def a_wrong_destination_is_refused_in_words_with_the_receipt_of_the_send(broker):
    client = Client(broker)
    try:
        client.send("/que/connections", "to nowhere")
        raise AssertionError("a destination that begins with /que/ was taken")
    except Refused as refused:
        assert "Illegal destination name: [/que/connections]" in refused.headers["message"], refused.headers
        assert refused.headers["receipt-id"] == "r1", refused.headers
        assert "\tat " not in refused.body, "a stack trace is no explanation"
    finally:
        client.drop()


def a_bare_name_is_a_queue_as_in_activemq(broker):
    with Client(broker) as client:
        client.send("connections.bare", "to a queue")
        assert [frame.body for frame in client.browse(f"{NAME}.bare")] == ["to a queue"]


def the_broker_sends_the_heart_beats_that_it_promised(broker):
    with Client(broker, heartbeats=(0, 400)) as client:
        assert client.connected["heart-beat"] == "400,0", client.connected
        begun = time.monotonic()
        for _ in range(5):
            client.inbox.heartbeats.get(timeout=WAIT_SECONDS_MAX)
        seconds = time.monotonic() - begun
        assert 0.5 < seconds < 8, f"5 heart-beats of 400 ms took {seconds} s"
        assert client.connection.is_connected(), "stomp.py missed a heart-beat"


def a_client_that_keeps_its_heart_beats_stays_connected(broker):
    # The broker's own heart-beats, one each 500 ms, measure the time in which only heart-beats come.
    with Client(broker, heartbeats=(500, 500)) as client:
        for _ in range(6):
            client.inbox.heartbeats.get(timeout=WAIT_SECONDS_MAX)
        assert not client.inbox.disconnected.is_set()
        client.subscribe(f"{NAME}.beating")
        client.send(f"{NAME}.beating", "still here")
        assert client.message().body == "still here"


def a_client_that_promised_heart_beats_and_falls_silent_is_cut_off_and_its_messages_go_on(broker):
    with Client(broker) as client:
        client.send(f"{NAME}.silent", "held by the silent")
        silent = socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_SECONDS_MAX)
        begun = time.monotonic()
        silent.sendall(b"CONNECT\naccept-version:1.2\nhost:a\nheart-beat:500,0\n\n\0")
        silent.sendall(f"SUBSCRIBE\ndestination:{NAME}.silent\nid:1\nack:client\n\n\0".encode())
        received = b""
        while chunk := silent.recv(65536):
            received += chunk
        seconds = time.monotonic() - begun
        silent.close()
        assert b"held by the silent" in received, received
        assert 0.5 <= seconds < 5, f"cut off after {seconds} s"
        client.subscribe(f"{NAME}.silent")
        frame = client.message()
        assert frame.headers["redelivered"] == "true", frame.headers
