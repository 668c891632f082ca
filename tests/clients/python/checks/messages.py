"""What a message carries: bodies, headers, properties."""

import hashlib
import random

from client import Client

NAME = "/queue/messages"


def a_persistent_message_comes_with_the_headers_of_activemq(broker):
    with Client(broker) as client:
        client.subscribe(f"{NAME}.headers")
        client.send(f"{NAME}.headers", "Grüße, 世界", correlation_id="c-1", type="greeting", reply_to="/queue/answers", JMSXGroupID="g")
        frame = client.message()
        headers = frame.headers
        assert frame.body == "Grüße, 世界", frame.body
        expected = {"destination": f"{NAME}.headers", "subscription": "1", "persistent": "true", "correlation-id": "c-1"}
        expected |= {"type": "greeting", "reply-to": "/queue/answers", "JMSXGroupID": "g", "priority": "4", "expires": "0"}
        assert {name: headers.get(name) for name in expected} == expected, headers
        assert headers["message-id"] and int(headers["timestamp"]) > 1_600_000_000_000, headers
        assert headers.get("redelivered", "false") == "false", headers


def a_message_that_does_not_say_persistent_is_not(broker):
    with Client(broker) as client:
        client.subscribe(f"{NAME}.volatile")
        client.send(f"{NAME}.volatile", "here and gone", persistent=None)
        assert "persistent" not in client.message().headers


def properties_of_the_application_come_back_as_they_were(broker):
    with Client(broker) as client:
        client.subscribe(f"{NAME}.properties")
        client.send(f"{NAME}.properties", "", price="12.50", AMQ_THING="x", empty="")
        headers = client.message().headers
        assert (headers["price"], headers["AMQ-THING"], headers["empty"]) == ("12.50", "x", ""), headers


def header_values_with_colons_line_breaks_and_backslashes_survive(broker):
    for version, value in {"1.1": "a:b\nc\\d\\n", "1.2": "a:b\nc\\d\r\\n:"}.items():
        with Client(broker, version) as client:
            client.subscribe(f"{NAME}.escaped.{version}")
            client.send(f"{NAME}.escaped.{version}", "x", odd=value, ünï="çödé")
            headers = client.message().headers
            assert headers["odd"] == value, headers["odd"]
            assert headers["ünï"] == "çödé", headers


def a_body_with_nul_bytes_survives(broker):
    body = bytes(range(256)) * 4 + b"\0\0\n\0"
    with Client(broker, auto_decode=False) as client:
        client.subscribe(f"{NAME}.bytes")
        client.send(f"{NAME}.bytes", body)
        frame = client.message()
        assert frame.body == body, frame.body
        assert int(frame.headers["content-length"]) == len(body), frame.headers


def a_message_without_content_length_is_text_and_comes_without_it(broker):
    with Client(broker, auto_content_length=False) as client:
        client.subscribe(f"{NAME}.text")
        client.send(f"{NAME}.text", "text")
        frame = client.message()
        assert frame.body == "text" and "content-length" not in frame.headers, frame


def an_empty_body_survives(broker):
    with Client(broker) as client:
        client.subscribe(f"{NAME}.empty")
        client.send(f"{NAME}.empty", "")
        assert client.message().body in ("", None)


def a_message_of_five_megabytes_survives(broker):
    body = random.Random(5).randbytes(5 * 1024 * 1024)
    with Client(broker, auto_decode=False) as client:
        client.send(f"{NAME}.large", body)
        client.subscribe(f"{NAME}.large", ack="client")
        frame = client.message()
        assert hashlib.sha256(frame.body).digest() == hashlib.sha256(body).digest(), len(frame.body)
        client.ack(frame)


def a_thousand_messages_keep_their_order(broker):
    with Client(broker) as client:
        client.subscribe(f"{NAME}.order")
        for number in range(1000):
            client.send(f"{NAME}.order", str(number), confirm=number == 999)
        assert client.bodies(1000) == [str(number) for number in range(1000)]


def a_send_repeated_under_one_duplicate_id_is_one_message(broker):
    with Client(broker) as client:
        client.send(f"{NAME}.duplicates", "once", duplicate_id="d-1")
        client.send(f"{NAME}.duplicates", "once", duplicate_id="d-1")
        client.send(f"{NAME}.duplicates", "another", duplicate_id="d-2")
        transaction = client.begin()
        client.send(f"{NAME}.duplicates", "once", duplicate_id="d-1", transaction=transaction)
        client.commit(transaction)
        assert [frame.body for frame in client.browse(f"{NAME}.duplicates")] == ["once", "another"]
