"""kill -9: what was confirmed is still there when the broker is, and a client goes on by connecting again."""

import threading

import stomp
from client import WAIT_SECONDS_MAX, Client, Lost

NAME = "/queue/restarts"


def after_kill_9_everything_confirmed_is_still_there(own_broker):
    broker = own_broker
    who = {"client-id": "restarts"}
    with Client(broker, headers=who) as client:
        client.subscribe("/topic/restarts", activemq_subscriptionName="durable", ack="client")
    client = Client(broker)
    for number in range(50):
        client.send(f"{NAME}.many", str(number))
    client.send(f"{NAME}.large", "x" * 5_000_000)
    client.send("/topic/restarts", "for the durable")
    client.send(f"{NAME}.rejected", "bad")
    client.subscribe(f"{NAME}.rejected", id="rejected", ack="client-individual")
    client.nack(client.message())
    done, undone = client.begin(), client.begin()
    for name in "abc":
        client.send(f"{NAME}.committed.{name}", name, transaction=done)
        client.send(f"{NAME}.open.{name}", name, transaction=undone)
    client.commit(done)
    client.subscribe(f"{NAME}.many", id="many", ack="client-individual")
    held = [client.message() for _ in range(50)]
    for frame in held[:10]:
        client.ack(frame)

    broker.kill()
    assert client.inbox.disconnected.wait(WAIT_SECONDS_MAX), "stomp.py did not notice"
    broker.start()

    with Client(broker, headers=who) as client:
        client.subscribe("/topic/restarts", activemq_subscriptionName="durable", ack="client")
        assert client.message().body == "for the durable"
    with Client(broker) as client:
        client.subscribe(f"{NAME}.many", id="many", ack="client-individual")
        frames = [client.message() for _ in range(40)]
        assert [frame.body for frame in frames] == [str(number) for number in range(10, 50)], frames
        assert all(frame.headers["redelivered"] == "true" for frame in frames), "delivered before the kill, and not marked"
        assert [len(frame.body) for frame in client.browse(f"{NAME}.large")] == [5_000_000]
        assert [frame.body for frame in client.browse("/queue/ActiveMQ.DLQ")] == ["bad"]
        for name in "abc":
            assert [frame.body for frame in client.browse(f"{NAME}.committed.{name}")] == [name]
            assert client.browse(f"{NAME}.open.{name}") == []


def killed_while_a_producer_sends_it_has_what_was_confirmed_in_order(own_broker):
    broker = own_broker
    producer = Client(broker)
    confirmed, enough = [], threading.Event()

    def produce():
        try:
            for number in range(1_000_000):
                producer.send(f"{NAME}.producing", str(number))
                confirmed.append(str(number))
                if number == 200:
                    enough.set()
        except (Lost, OSError, stomp.exception.StompException):
            pass  # the broker is gone
        finally:
            enough.set()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    assert enough.wait(WAIT_SECONDS_MAX)
    broker.kill()
    thread.join(WAIT_SECONDS_MAX)
    assert not thread.is_alive() and len(confirmed) > 200, len(confirmed)
    broker.start()
    with Client(broker) as client:
        there = [frame.body for frame in client.browse(f"{NAME}.producing", activemq_prefetchSize="32000")]
    # The send that had no answer yet is there or not.
    assert there in (confirmed, confirmed + [str(len(confirmed))]), (len(there), len(confirmed))


def a_client_connects_again_on_the_same_connection_and_goes_on(own_broker):
    broker = own_broker
    client = Client(broker, reconnect_attempts_max=3)
    client.send(f"{NAME}.again", "before")
    broker.kill()
    assert client.inbox.disconnected.wait(WAIT_SECONDS_MAX)
    broker.start()
    client.connection.connect("user", "password", wait=True)
    client.send(f"{NAME}.again", "after")
    client.subscribe(f"{NAME}.again")
    assert client.bodies(2) == ["before", "after"]
    client.disconnect()


def a_clean_stop_keeps_persistent_messages_and_drops_the_others(own_broker):
    broker = own_broker
    with Client(broker) as client:
        client.send(f"{NAME}.stopped", "kept")
        client.send(f"{NAME}.stopped", "dropped", persistent=None)
    broker.stop()
    broker.start()
    with Client(broker) as client:
        assert [frame.body for frame in client.browse(f"{NAME}.stopped")] == ["kept"]
