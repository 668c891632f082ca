"""Queues: order, selection, looking, groups, expiry, requests and replies."""

import time

from client import Client

NAME = "/queue/queues"


def higher_priorities_come_first(broker):
    with Client(broker) as client:
        for priority in (4, 0, 9, 4, 7):
            client.send(f"{NAME}.priorities", f"p{priority}", priority=str(priority))
        client.subscribe(f"{NAME}.priorities")
        assert client.bodies(5) == ["p9", "p7", "p4", "p4", "p0"]


def a_selector_finds_its_messages_behind_others(broker):
    with Client(broker) as client:
        for number in range(2500):
            client.send(f"{NAME}.selector", str(number), confirm=False, colour="grey")
        client.send(f"{NAME}.selector", "match", colour="red", price="12")
        client.send(f"{NAME}.selector", "too cheap", colour="red", price="5")
        client.subscribe(f"{NAME}.selector", selector="colour LIKE 'r%' AND price > 5 AND NOT (colour IN ('grey', 'blue'))")
        assert client.message().body == "match"
        client.unsubscribe()
        assert client.unread() == []
    assert broker.waiting("queues.selector") == 2501


def a_browser_looks_and_takes_nothing(broker):
    with Client(broker) as client:
        for number in range(3):
            client.send(f"{NAME}.browsed", str(number), odd=str(number % 2))
        assert [frame.body for frame in client.browse(f"{NAME}.browsed")] == ["0", "1", "2"]
        assert [frame.body for frame in client.browse(f"{NAME}.browsed", selector="odd = '1'")] == ["1"]
        client.subscribe(f"{NAME}.browsed")
        frames = [client.message() for _ in range(3)]
        assert [frame.body for frame in frames] == ["0", "1", "2"]
        assert all(frame.headers.get("redelivered", "false") == "false" for frame in frames), "looking is no delivery"


def competing_consumers_get_each_message_once(broker):
    with Client(broker) as client, Client(broker) as other:
        for consumer in (client, other):
            consumer.subscribe(f"{NAME}.competing", ack="client-individual", activemq_prefetchSize="10")
        for number in range(20):
            client.send(f"{NAME}.competing", str(number))
        bodies = client.bodies(10) + other.bodies(10)
        assert sorted(bodies, key=int) == [str(number) for number in range(20)], bodies


def a_message_group_stays_with_one_consumer_until_that_goes(broker):
    groups = "abcdefghij"
    with Client(broker) as client:
        other = Client(broker)
        other.inbox.arrived = client.inbox.arrived  # the subscriptions' names tell who got what
        client.subscribe(f"{NAME}.groups", id="one")
        other.subscribe(f"{NAME}.groups", id="two")
        for number in range(3):
            for group in groups:
                client.send(f"{NAME}.groups", f"{group}{number}", JMSXGroupID=group)
        frames = [client.message() for _ in range(30)]
        owners = {}
        for group in groups:
            mine = [frame for frame in frames if frame.body[0] == group]
            assert [frame.body for frame in mine] == [f"{group}{number}" for number in range(3)], mine
            owners[group] = {frame.headers["subscription"] for frame in mine}
        assert all(len(owner) == 1 for owner in owners.values()), owners
        assert {name for owner in owners.values() for name in owner} == {"one", "two"}, owners
        other.disconnect()
        for group in groups:
            client.send(f"{NAME}.groups", group, JMSXGroupID=group)
        assert [client.message().headers["subscription"] for _ in groups] == ["one"] * len(groups)


def an_exclusive_consumer_gets_everything_until_it_goes(broker):
    with Client(broker) as client, Client(broker) as other:
        client.subscribe(f"{NAME}.exclusive", activemq_exclusive="true")
        other.subscribe(f"{NAME}.exclusive", activemq_exclusive="true")
        for number in range(5):
            client.send(f"{NAME}.exclusive", str(number))
        assert client.bodies(5) == ["0", "1", "2", "3", "4"]
        client.unsubscribe()
        client.send(f"{NAME}.exclusive", "5")
        assert other.message().body == "5"


def an_expired_message_goes_to_the_dead_letter_queue_and_nowhere_else(broker):
    with Client(broker) as client:
        client.subscribe("/queue/ActiveMQ.DLQ", id="dead", selector="check = 'expired'")
        expires = str(int(time.time() * 1000) + 300)
        client.send(f"{NAME}.expired", "too late", expires=expires, check="expired")
        client.send(f"{NAME}.expired", "in time", expires=str(int(time.time() * 1000) + 3_600_000))
        dead = client.message()
        assert (dead.body, dead.headers["subscription"]) == ("too late", "dead"), dead
        assert time.time() * 1000 >= int(expires), "expired before its time"
        assert dead.headers["original-destination"] == f"{NAME}.expired", dead.headers
        client.subscribe(f"{NAME}.expired")
        assert client.message().body == "in time"


def a_request_is_answered_over_a_temporary_queue(broker):
    with Client(broker) as client, Client(broker) as server:
        server.subscribe(f"{NAME}.requests")
        client.subscribe("/temp-queue/answers", id="answers")
        client.send(f"{NAME}.requests", "2 + 2", reply_to="/temp-queue/answers", correlation_id="q1", persistent=None)
        request = server.message()
        assert request.headers["reply-to"].startswith("/remote-temp-queue/"), request.headers
        server.send(request.headers["reply-to"], "4", correlation_id=request.headers["correlation-id"], persistent=None)
        answer = client.message()
        assert (answer.body, answer.headers["correlation-id"], answer.headers["subscription"]) == ("4", "q1", "answers"), answer


def a_message_to_two_queues_and_a_topic_is_in_all_of_them(broker):
    with Client(broker) as client:
        client.subscribe("/topic/queues.both", id="topic")
        client.send(f"{NAME}.both.a,{NAME}.both.b,/topic/queues.both", "everywhere")
        assert client.message().headers["subscription"] == "topic"
        for name in "ab":
            assert [frame.body for frame in client.browse(f"{NAME}.both.{name}")] == ["everywhere"]


def a_queue_consumer_with_a_wildcard_takes_from_queues_that_are_and_that_come(broker):
    with Client(broker) as client:
        client.send(f"{NAME}.wild.old.x", "old")
        client.subscribe(f"{NAME}.wild.*.x")
        assert client.message().body == "old"
        client.send(f"{NAME}.wild.new.x", "new")
        frame = client.message()
        assert (frame.body, frame.headers["destination"]) == ("new", f"{NAME}.wild.new.x"), frame


def the_command_line_and_a_client_understand_each_other(broker):
    with Client(broker) as client:
        client.subscribe("/queue/hello")
        broker.command("send", "queue://hello", "Hello, world", "--header", "colour=red")
        frame = client.message()
        assert (frame.body, frame.headers["colour"], frame.headers["persistent"]) == ("Hello, world", "red", "true"), frame
        client.unsubscribe()
        client.send("/queue/hello", "Hello from Python")
        received = broker.command("receive", "queue://hello", "--timeout", "10s")
        assert received.stdout.strip() == "Hello from Python", received.stdout
    assert broker.waiting("hello") == 0
