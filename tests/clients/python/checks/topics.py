"""Topics: everybody who listens, wildcards, durable subscriptions."""

from client import Client, Refused


def everybody_who_listens_gets_a_copy_and_nobody_what_came_before(broker):
    with Client(broker) as publisher, Client(broker) as early, Client(broker) as late:
        early.subscribe("/topic/topics.fan")
        publisher.send("/topic/topics.fan", "first")
        late.subscribe("/topic/topics.fan")
        publisher.send("/topic/topics.fan", "second")
        assert early.bodies(2) == ["first", "second"]
        assert late.message().body == "second"


def wildcards_match_one_name_or_all_that_follow(broker):
    with Client(broker) as client:
        client.subscribe("/topic/topics.prices.*.IBM", id="one")
        client.subscribe("/topic/topics.prices.>", id="all")
        for name in ("nyse.IBM", "nyse.SUNW", "nyse.old.IBM"):
            client.send(f"/topic/topics.prices.{name}", name)
        client.unsubscribe("one")
        client.unsubscribe("all")
        got = [(frame.headers["subscription"], frame.body) for frame in iter(_next_of(client), None)]
        assert sorted(got) == [("all", "nyse.IBM"), ("all", "nyse.SUNW"), ("all", "nyse.old.IBM"), ("one", "nyse.IBM")], got


def _next_of(client):
    return lambda: None if client.inbox.arrived.empty() else client.message()


def a_topic_subscription_with_a_selector_gets_what_matches(broker):
    with Client(broker) as client:
        client.subscribe("/topic/topics.selector", selector="size >= 10")
        for size in ("5", "10", "50"):
            client.send("/topic/topics.selector", size, size=size)
        assert client.bodies(2) == ["10", "50"]


def a_durable_subscription_keeps_what_comes_while_it_is_offline(broker):
    who = {"client-id": "topics-durable"}
    for header in ("activemq.subscriptionName", "activemq.subcriptionName"):  # the second is ActiveMQ's own old misspelling
        durable = {header.replace(".", "_"): "news"}
        with Client(broker) as publisher:
            with Client(broker, headers=who) as client:
                client.subscribe("/topic/topics.durable", ack="client", **durable)
                publisher.send("/topic/topics.durable", "online")
                client.ack(client.message())
            publisher.send("/topic/topics.durable", "offline 1")
            publisher.send("/topic/topics.durable", "offline 2")
            with Client(broker, headers=who) as client:
                client.subscribe("/topic/topics.durable", ack="client", **durable)
                frames = [client.message() for _ in range(2)]
                assert [frame.body for frame in frames] == ["offline 1", "offline 2"], frames
                client.ack(frames[1])
                client.unsubscribe()
                # This header without an open subscription is how ActiveMQ deletes a durable one.
                client.unsubscribe(**durable)
            publisher.send("/topic/topics.durable", "to nobody")
            with Client(broker, headers=who) as client:
                client.subscribe("/topic/topics.durable", ack="client", **durable)
                publisher.send("/topic/topics.durable", "new life")
                frame = client.message()
                assert frame.body == "new life", frame.body
                client.ack(frame)
                client.unsubscribe()
                client.unsubscribe(**durable)


def a_durable_subscription_of_a_queue_is_refused(broker):
    client = Client(broker, headers={"client-id": "topics-refused"})
    try:
        client.subscribe("/queue/topics.refused", activemq_subscriptionName="news")
        raise AssertionError("a durable subscription of a queue was taken")
    except Refused as refused:
        assert "cannot durably subscribe to a Queue" in refused.headers["message"], refused.headers
    finally:
        client.drop()


def a_temporary_topic_reaches_all_who_know_it(broker):
    with Client(broker) as client, Client(broker) as server:
        server.subscribe("/queue/topics.requests")
        client.subscribe("/temp-topic/answers", id="answers")
        client.send("/queue/topics.requests", "?", reply_to="/temp-topic/answers", persistent=None)
        reply_to = server.message().headers["reply-to"]
        assert reply_to.startswith("/remote-temp-topic/"), reply_to
        server.send(reply_to, "!", persistent=None)
        assert client.message().body == "!"
