"""The three ways to acknowledge, and what happens to what was not acknowledged or rejected."""

from client import Client, Refused

NAME = "/queue/acknowledgements"


def auto_needs_no_acknowledgement(broker):
    with Client(broker) as client:
        for number in range(3):
            client.send(f"{NAME}.auto", str(number))
        client.subscribe(f"{NAME}.auto")
        assert client.bodies(3) == ["0", "1", "2"]
    assert broker.waiting("acknowledgements.auto") == 0


def client_acknowledges_everything_up_to_the_message(broker):
    for version in ("1.0", "1.1", "1.2"):
        queue = f"{NAME}.client.{version}"
        with Client(broker, version) as client:
            for number in range(5):
                client.send(queue, str(number))
            client.subscribe(queue, ack="client")
            frames = [client.message() for _ in range(5)]
            client.ack(frames[2])
        with Client(broker) as client:
            assert [frame.body for frame in client.browse(queue)] == ["3", "4"], version


def client_individual_acknowledges_one_message(broker):
    for version in ("1.1", "1.2"):
        queue = f"{NAME}.individual.{version}"
        with Client(broker, version) as client:
            for number in range(4):
                client.send(queue, str(number))
            client.subscribe(queue, ack="client-individual")
            frames = [client.message() for _ in range(4)]
            client.ack(frames[2])
            client.ack(frames[0])
        with Client(broker) as client:
            assert [frame.body for frame in client.browse(queue)] == ["1", "3"], version


def a_rejected_persistent_message_goes_to_the_dead_letter_queue_once(broker):
    for version in ("1.1", "1.2"):
        queue = f"{NAME}.rejected.{version}"
        with Client(broker, version) as client:
            client.send(queue, "bad", check=queue)
            client.subscribe(queue, ack="client-individual")
            client.nack(client.message())
            dead = client.browse("/queue/ActiveMQ.DLQ", selector=f"check = '{queue}'")
            assert [frame.body for frame in dead] == ["bad"], dead
            assert dead[0].headers["dlqDeliveryFailureCause"], dead[0].headers
            assert client.browse(queue) == []
            client.subscribe("/queue/ActiveMQ.DLQ", id="2", selector=f"check = '{queue}'")
            assert client.message().headers["original-destination"] == queue


def a_rejected_message_that_is_not_persistent_is_dropped(broker):
    with Client(broker) as client:
        client.send(f"{NAME}.dropped", "bad", persistent=None, check="dropped")
        client.subscribe(f"{NAME}.dropped", ack="client-individual")
        client.nack(client.message())
        assert client.browse("/queue/ActiveMQ.DLQ", selector="check = 'dropped'") == []
    assert broker.waiting("acknowledgements.dropped") == 0


def what_a_lost_connection_held_comes_again_marked_and_first(broker):
    with Client(broker) as client:
        for number in range(3):
            client.send(f"{NAME}.lost", str(number))
        holder = Client(broker)
        holder.subscribe(f"{NAME}.lost", ack="client-individual")
        frames = [holder.message() for _ in range(3)]
        assert [frame.headers.get("redelivered", "false") for frame in frames] == ["false"] * 3
        holder.ack(frames[1])
        holder.drop()
        client.send(f"{NAME}.lost", "3")
        client.subscribe(f"{NAME}.lost", ack="client")
        again = [client.message() for _ in range(3)]
        assert [frame.body for frame in again] == ["0", "2", "3"], again
        marks = [frame.headers.get("redelivered", "false") for frame in again]
        assert marks == ["true", "true", "false"], marks


def what_a_subscription_held_goes_on_when_it_ends(broker):
    with Client(broker) as client:
        client.send(f"{NAME}.given-back", "held")
        client.subscribe(f"{NAME}.given-back", ack="client")
        client.message()
        client.unsubscribe()
        client.subscribe(f"{NAME}.given-back", id="2", ack="client")
        frame = client.message()
        assert (frame.body, frame.headers["redelivered"]) == ("held", "true"), frame
        client.ack(frame)


def prefetch_one_shares_work_fairly(broker):
    with Client(broker) as client, Client(broker) as other:
        for number in range(4):
            client.send(f"{NAME}.fair", str(number))
        client.subscribe(f"{NAME}.fair", ack="client-individual", activemq_prefetchSize="1")
        first = client.message()
        other.subscribe(f"{NAME}.fair", ack="client-individual", activemq_prefetchSize="1")
        second = other.message()
        assert (first.body, second.body) == ("0", "1")
        other.ack(second)
        third = other.message()
        assert third.body == "2"
        other.ack(third)
        assert other.message().body == "3"
        client.ack(first)
        client.browse(f"{NAME}.fair")  # everything that was on its way to this connection has come before the end of this
        assert client.unread() == [], "the other consumer holds the last message"


def an_acknowledgement_of_what_was_never_delivered_is_refused(broker):
    client = Client(broker)
    client.subscribe(f"{NAME}.unknown", ack="client")
    receipt = client.expect_receipt()
    client.connection.ack("nothing", receipt=receipt.name)
    try:
        client.wait(receipt, "ACK")
        raise AssertionError("an acknowledgement of nothing was confirmed")
    except Refused as refused:
        assert "Unexpected ACK received for message-id [nothing]" in refused.headers["message"], refused.headers
    finally:
        client.drop()
