"""Transactions over several destinations: all or nothing, also of acknowledgements."""

from client import Client, Refused

NAME = "/queue/transactions"


def _waiting(broker, *names):
    return [broker.waiting(f"transactions.{name}") for name in names]


def a_commit_over_three_queues_takes_place_wholly(broker):
    with Client(broker) as client:
        transaction = client.begin()
        for name in "abc":
            for number in range(2):
                client.send(f"{NAME}.commit.{name}", f"{name}{number}", transaction=transaction)
        assert _waiting(broker, "commit.a", "commit.b", "commit.c") == [0, 0, 0], "seen before the commit"
        client.commit(transaction)
        for name in "abc":
            bodies = [frame.body for frame in client.browse(f"{NAME}.commit.{name}")]
            assert bodies == [f"{name}0", f"{name}1"], bodies


def an_abort_leaves_nothing_behind(broker):
    with Client(broker) as client:
        transaction = client.begin()
        for name in "abc":
            client.send(f"{NAME}.abort.{name}", "never", transaction=transaction)
        client.abort(transaction)
    assert _waiting(broker, "abort.a", "abort.b", "abort.c") == [0, 0, 0]


def an_open_transaction_ends_with_its_connection(broker):
    client = Client(broker)
    transaction = client.begin()
    client.send(f"{NAME}.dropped", "never", transaction=transaction)
    client.drop()
    with Client(broker) as client:
        client.send(f"{NAME}.dropped", "next")
        assert [frame.body for frame in client.browse(f"{NAME}.dropped")] == ["next"]


def work_is_taken_and_its_result_sent_in_one_transaction(broker):
    with Client(broker) as client:
        client.send(f"{NAME}.work", "task")
        client.subscribe(f"{NAME}.work", ack="client-individual")
        task = client.message()
        transaction = client.begin()
        client.send(f"{NAME}.result", "half done", transaction=transaction)
        client.ack(task, transaction)
        client.abort(transaction)
        assert _waiting(broker, "work", "result") == [1, 0]
        client.unsubscribe()

        client.subscribe(f"{NAME}.work", ack="client-individual")
        task = client.message()
        assert task.headers["redelivered"] == "true", task.headers
        transaction = client.begin()
        client.send(f"{NAME}.result", "done", transaction=transaction)
        client.ack(task, transaction)
        client.commit(transaction)
        assert _waiting(broker, "work", "result") == [0, 1]


def two_transactions_of_one_connection_are_apart(broker):
    with Client(broker) as client:
        kept, dropped = client.begin(), client.begin()
        client.send(f"{NAME}.two", "kept", transaction=kept)
        client.send(f"{NAME}.two", "dropped", transaction=dropped)
        client.commit(kept)
        client.abort(dropped)
        assert [frame.body for frame in client.browse(f"{NAME}.two")] == ["kept"]


def a_transaction_that_was_not_begun_is_refused(broker):
    client = Client(broker)
    try:
        client.send(f"{NAME}.unknown", "never", transaction="unknown")
        raise AssertionError("a send in no transaction was confirmed")
    except Refused as refused:
        assert "Invalid transaction id: unknown" in refused.headers["message"], refused.headers
    finally:
        client.drop()
    assert _waiting(broker, "unknown") == [0]
