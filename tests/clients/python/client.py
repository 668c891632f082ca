"""A connection of stomp.py that a check can wait on.

Everything goes through stomp.py as an application would use it: a listener, `subscribe`, `send`, `ack`. What arrives is kept in queues, each wait is bounded, and an ERROR frame or a lost
connection fails the check at its next wait. Frames are confirmed by receipts, never by the passing of time.
"""

import itertools
import logging
import queue
import threading

import stomp

WAIT_SECONDS_MAX = 10

# It warns of connections that end, which here they do on purpose.
logging.getLogger("stomp.py").setLevel(logging.CRITICAL)

CONNECTIONS = {"1.0": stomp.StompConnection10, "1.1": stomp.StompConnection11, "1.2": stomp.StompConnection12}


class Receipt:
    """An answer that is awaited. It may stay out."""

    def __init__(self, name):
        self.name = name
        self.confirmed = False
        self.decided = threading.Event()


class Inbox(stomp.ConnectionListener):
    """What the broker sent to one connection."""

    def __init__(self):
        self.connected = queue.Queue()
        self.arrived = queue.Queue()  # messages and errors, in their order
        self.receipts = {}
        self.heartbeats = queue.Queue()
        self.disconnected = threading.Event()
        self.errors = queue.Queue()

    def on_connected(self, frame):
        self.connected.put(frame.headers)

    def on_message(self, frame):
        self.arrived.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)
        self.arrived.put(frame)
        self.give_up()

    def on_receipt(self, frame):
        receipt = self.receipts.get(frame.headers["receipt-id"])
        if receipt is not None:
            receipt.confirmed = True
            receipt.decided.set()

    def on_heartbeat(self):
        self.heartbeats.put(None)

    def on_disconnected(self):
        self.disconnected.set()
        self.give_up()

    def give_up(self):
        """Nothing that has no answer yet gets one."""
        for receipt in list(self.receipts.values()):
            receipt.decided.set()


class Lost(Exception):
    """The connection ended before the answer came."""


class Refused(Exception):
    """The broker answered with an ERROR frame; `headers` and `body` are the frame's."""

    def __init__(self, frame):
        super().__init__(f"{frame.headers.get('message')}: {frame.body}")
        self.headers, self.body = frame.headers, frame.body


class Client:
    """One connection, by default of STOMP 1.2."""

    def __init__(self, broker, version="1.2", user="user", password="password", headers=None, **options):
        self.version = version
        self.inbox = Inbox()
        self.names = (f"r{number}" for number in itertools.count(1))
        self.connection = CONNECTIONS[version]([("127.0.0.1", broker.port)], **options)
        self.connection.set_listener("inbox", self.inbox)
        self.connection.connect(user, password, wait=True, headers=headers or {})
        self.connected = self.inbox.connected.get(timeout=WAIT_SECONDS_MAX)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.connection.is_connected() and kind is None:
            self.disconnect()
        else:
            self.drop()

    def disconnect(self):
        """Says good-bye and waits for the answer."""
        receipt = self.expect_receipt()
        self.connection.disconnect(receipt.name)
        self.wait(receipt, "DISCONNECT")

    def drop(self):
        """Goes without a word, as a client that dies."""
        self.connection.transport.disconnect_socket()

    def expect_receipt(self):
        receipt = Receipt(next(self.names))
        self.inbox.receipts[receipt.name] = receipt
        return receipt

    def wait(self, receipt, what):
        if not receipt.decided.wait(WAIT_SECONDS_MAX):
            raise TimeoutError(f"no receipt for {what} within {WAIT_SECONDS_MAX} s")
        del self.inbox.receipts[receipt.name]
        self.raise_error()
        if not receipt.confirmed:
            raise Lost(what)

    def raise_error(self):
        try:
            raise Refused(self.inbox.errors.get_nowait())
        except queue.Empty:
            return

    def send(self, destination, body, confirm=True, **headers):
        """Sends, by default persistent, and by default returns when the broker has confirmed it."""
        headers = {"persistent": "true", **{name.replace("_", "-"): value for name, value in headers.items()}}
        headers = {name: value for name, value in headers.items() if value is not None}
        if not confirm:
            self.connection.send(destination, body, headers=headers)
            return
        receipt = self.expect_receipt()
        self.connection.send(destination, body, headers={**headers, "receipt": receipt.name})
        self.wait(receipt, f"SEND to {destination}")

    def subscribe(self, destination, id="1", ack="auto", **headers):
        """Returns when the subscription stands. A `_` in a header's name stands for a `.`: activemq_prefetchSize."""
        headers = {name.replace("_", "."): value for name, value in headers.items()}
        receipt = self.expect_receipt()
        self.connection.subscribe(destination, id, ack, headers={**headers, "receipt": receipt.name})
        self.wait(receipt, f"SUBSCRIBE to {destination}")

    def unsubscribe(self, id="1", **headers):
        headers = {name.replace("_", "."): value for name, value in headers.items()}
        receipt = self.expect_receipt()
        self.connection.unsubscribe(id=id, headers={**headers, "receipt": receipt.name})
        self.wait(receipt, f"UNSUBSCRIBE {id}")

    def message(self):
        """The next message."""
        try:
            frame = self.inbox.arrived.get(timeout=WAIT_SECONDS_MAX)
        except queue.Empty:
            raise TimeoutError(f"no message within {WAIT_SECONDS_MAX} s") from None
        if frame.cmd == "ERROR":
            raise Refused(frame)
        return frame

    def bodies(self, count):
        """The bodies of the next messages."""
        return [self.message().body for _ in range(count)]

    def unread(self):
        """The bodies of what has arrived and was not asked for. After a receipt, that is everything sent before it."""
        frames = []
        while not self.inbox.arrived.empty():
            frames.append(self.inbox.arrived.get_nowait())
        return [frame.body for frame in frames]

    def answer(self, verb, frame, **options):
        receipt = self.expect_receipt()
        method = getattr(self.connection, verb)
        match self.version:
            case "1.0":
                method(frame.headers["message-id"], receipt=receipt.name, **options)
            case "1.1":
                method(frame.headers["message-id"], frame.headers["subscription"], receipt=receipt.name, **options)
            case "1.2":
                method(frame.headers["ack"], receipt=receipt.name, **options)
        self.wait(receipt, verb.upper())

    def ack(self, frame, transaction=None):
        self.answer("ack", frame, transaction=transaction)

    def nack(self, frame, transaction=None):
        self.answer("nack", frame, transaction=transaction)

    def begin(self):
        return self.connection.begin()

    def commit(self, transaction):
        receipt = self.expect_receipt()
        self.connection.commit(transaction, receipt=receipt.name)
        self.wait(receipt, "COMMIT")

    def abort(self, transaction):
        receipt = self.expect_receipt()
        self.connection.abort(transaction, receipt=receipt.name)
        self.wait(receipt, "ABORT")

    def browse(self, destination, **headers):
        """The messages that wait in a queue, read to the browser's end."""
        self.subscribe(destination, id="browser", browser="true", **headers)
        frames = []
        while (frame := self.message()).headers.get("browser") != "end":
            frames.append(frame)
        self.unsubscribe("browser")
        return frames
