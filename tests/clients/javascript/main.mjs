// stompjs and stompit against the shipped binary, whose STOMP port is in HOLDFAST_PORT: main.mjs DIRECTORY, that of the node_modules.
//
// Each check has a name that says what it shows, queues of its own, and CHECK_MILLISECONDS_MAX. Frames are confirmed by receipts, never by the passing of time.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";

import { TcpSocket } from "./tcp_socket.mjs";

const require = createRequire(path.resolve(process.argv[2], "main.cjs"));
const { Client } = require("@stomp/stompjs");
const stompit = require("stompit");

const CHECK_MILLISECONDS_MAX = 15_000;
const port = Number(process.env.HOLDFAST_PORT);

// Messages that arrived, and those who wait for one.
class Inbox {
  constructor() {
    this.arrived = [];
    this.waiting = [];
  }

  put(message) {
    const first = this.waiting.shift();
    first ? first(message) : this.arrived.push(message);
  }

  next() {
    return this.arrived.length ? Promise.resolve(this.arrived.shift()) : new Promise((done) => this.waiting.push(done));
  }
}

// A connection of stompjs.
class Connection {
  static async open(options = {}) {
    const connection = new Connection();
    const { connectHeaders, ...rest } = options;
    connection.names = 0;
    connection.errors = new Inbox();
    connection.client = new Client({
      webSocketFactory: () => (connection.socket = new TcpSocket(port)),
      connectHeaders: { login: "user", passcode: "password", host: "localhost", ...connectHeaders },
      reconnectDelay: 0,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      onStompError: (frame) => connection.errors.put(frame),
      ...rest,
    });
    connection.connected = await new Promise((done, fail) => {
      connection.client.onConnect = done;
      connection.client.onWebSocketError = fail;
      connection.client.activate();
    });
    return connection;
  }

  // Runs `send` with the name of a new receipt, and waits for that.
  confirmed(send) {
    const name = `c${(this.names += 1)}`;
    return new Promise((done) => {
      this.client.watchForReceipt(name, done);
      send(name);
    });
  }

  send(destination, body, headers = {}) {
    const content = typeof body === "string" ? { body } : { binaryBody: body };
    return this.confirmed((receipt) =>
      this.client.publish({ destination, ...content, headers: { persistent: "true", ...headers, receipt } }),
    );
  }

  async subscribe(destination, headers = {}) {
    const inbox = new Inbox();
    await this.confirmed((receipt) => {
      inbox.subscription = this.client.subscribe(destination, (message) => inbox.put(message), { ...headers, receipt });
    });
    return inbox;
  }

  async browse(destination, headers = {}) {
    const inbox = await this.subscribe(destination, { browser: "true", ...headers });
    const bodies = [];
    for (;;) {
      const message = await inbox.next();
      if (message.headers.browser === "end") break;
      bodies.push(message.body);
    }
    inbox.subscription.unsubscribe();
    return bodies;
  }

  close() {
    return this.client.deactivate();
  }

  drop() {
    return this.client.deactivate({ force: true });
  }
}

const checks = {
  async "stompjs: the highest version is negotiated, and the others on request"() {
    const { Versions } = require("@stomp/stompjs");
    for (const [offered, agreed] of [[["1.0", "1.1", "1.2"], "1.2"], [["1.0", "1.1"], "1.1"], [["1.0"], "1.0"]]) {
      const connection = await Connection.open({ stompVersions: new Versions(offered) });
      assert.equal(connection.connected.headers.version ?? "1.0", agreed);
      assert.match(connection.connected.headers.server, /^holdfast\//);
      await connection.close();
    }
  },

  async "stompjs: a persistent message comes with body and headers as they were"() {
    const connection = await Connection.open();
    const inbox = await connection.subscribe("/queue/js.messages", { ack: "client" });
    await connection.send("/queue/js.messages", "Grüße, 世界 🦀", { odd: "a:b\nc\\d\r", price: "12.5" });
    const message = await inbox.next();
    assert.equal(message.body, "Grüße, 世界 🦀");
    assert.equal(message.headers.odd, "a:b\nc\\d\r");
    assert.equal(message.headers.price, "12.5");
    assert.equal(message.headers.persistent, "true");
    await connection.confirmed((receipt) => message.ack({ receipt }));
    assert.deepEqual(await connection.browse("/queue/js.messages"), []);
    await connection.close();
  },

  async "stompjs: a binary body of five megabytes survives"() {
    const connection = await Connection.open();
    const body = randomBytes(5 * 1024 * 1024);
    const inbox = await connection.subscribe("/queue/js.binary");
    await connection.send("/queue/js.binary", new Uint8Array(body));
    const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(digest((await inbox.next()).binaryBody), digest(body));
    await connection.close();
  },

  async "stompjs: client acknowledges up to a message, and the rest comes again marked"() {
    const connection = await Connection.open();
    for (let number = 0; number < 4; number += 1) await connection.send("/queue/js.acknowledged", String(number));
    const holder = await Connection.open();
    const inbox = await holder.subscribe("/queue/js.acknowledged", { ack: "client" });
    const messages = [];
    for (let number = 0; number < 4; number += 1) messages.push(await inbox.next());
    await holder.confirmed((receipt) => messages[1].ack({ receipt }));
    await holder.drop();
    const again = await connection.subscribe("/queue/js.acknowledged", { ack: "client-individual" });
    for (const body of ["2", "3"]) {
      const message = await again.next();
      assert.equal(message.body, body);
      assert.equal(message.headers.redelivered, "true");
    }
    await connection.close();
  },

  async "stompjs: a rejected message goes to the dead letter queue"() {
    const connection = await Connection.open();
    await connection.send("/queue/js.rejected", "bad", { check: "js" });
    const inbox = await connection.subscribe("/queue/js.rejected", { ack: "client-individual" });
    const message = await inbox.next();
    await connection.confirmed((receipt) => message.nack({ receipt }));
    assert.deepEqual(await connection.browse("/queue/ActiveMQ.DLQ", { selector: "check = 'js'" }), ["bad"]);
    await connection.close();
  },

  async "stompjs: a transaction over two queues is committed, another aborted"() {
    const connection = await Connection.open();
    const kept = connection.client.begin();
    const dropped = connection.client.begin();
    for (const name of ["a", "b"]) {
      await connection.send(`/queue/js.transaction.${name}`, "kept", { transaction: kept.id });
      await connection.send(`/queue/js.transaction.${name}`, "dropped", { transaction: dropped.id });
    }
    kept.commit();
    dropped.abort();
    for (const name of ["a", "b"]) assert.deepEqual(await connection.browse(`/queue/js.transaction.${name}`), ["kept"]);
    await connection.close();
  },

  async "stompjs: a durable subscription keeps what comes while it is offline"() {
    const who = { connectHeaders: { "client-id": "js" } };
    const durable = { "activemq.subscriptionName": "news" };
    let subscriber = await Connection.open(who);
    await subscriber.subscribe("/topic/js.durable", durable);
    await subscriber.close();
    const publisher = await Connection.open();
    await publisher.send("/topic/js.durable", "offline");
    subscriber = await Connection.open(who);
    assert.equal((await (await subscriber.subscribe("/topic/js.durable", durable)).next()).body, "offline");
    await Promise.all([subscriber.close(), publisher.close()]);
  },

  async "stompjs: a selector and a wildcard choose among topics' messages"() {
    const connection = await Connection.open();
    const inbox = await connection.subscribe("/topic/js.prices.>", { selector: "price > 5" });
    for (const price of ["4", "6"]) await connection.send("/topic/js.prices.a.b", price, { price });
    assert.equal((await inbox.next()).body, "6");
    await connection.close();
  },

  async "stompjs: a request is answered over a temporary queue"() {
    const [client, server] = [await Connection.open(), await Connection.open()];
    const requests = await server.subscribe("/queue/js.requests");
    const answers = await client.subscribe("/temp-queue/answers");
    await client.send("/queue/js.requests", "?", { "reply-to": "/temp-queue/answers", "correlation-id": "1" });
    const request = await requests.next();
    await server.send(request.headers["reply-to"], "!", { "correlation-id": request.headers["correlation-id"] });
    const answer = await answers.next();
    assert.deepEqual([answer.body, answer.headers["correlation-id"]], ["!", "1"]);
    await Promise.all([client.close(), server.close()]);
  },

  async "stompjs: heart-beats are kept in both directions"() {
    // stompjs cuts a connection whose broker's heart-beats stay out, the broker one whose client's do.
    const connection = await Connection.open({ heartbeatIncoming: 500, heartbeatOutgoing: 500 });
    assert.equal(connection.connected.headers["heart-beat"], "500,500");
    const beats = new Inbox();
    connection.socket.socket.on("data", (chunk) => chunk.every((byte) => byte === 10) && beats.put(chunk));
    for (let beat = 0; beat < 6; beat += 1) await beats.next();
    assert.deepEqual(await connection.browse("/queue/js.beating"), []);
    await connection.close();
  },

  async "stompjs: a refusal comes as an error with a text"() {
    const connection = await Connection.open();
    connection.client.publish({ destination: "/que/js", body: "", headers: { receipt: "wrong" } });
    const error = await connection.errors.next();
    assert.match(error.headers.message, /Illegal destination name/);
    assert.equal(error.headers["receipt-id"], "wrong");
    await connection.drop();
  },

  async "stompit: sends, receives, acknowledges, commits and leaves"() {
    const client = await new Promise((done, fail) =>
      stompit.connect({ host: "127.0.0.1", port, connectHeaders: { login: "user", passcode: "password" } }, (error, it) =>
        error ? fail(error) : done(it),
      ),
    );
    const confirmed = (send) => new Promise((done) => send({ onReceipt: done }));
    const transaction = client.begin();
    const frame = transaction.send({ destination: "/queue/js.stompit", persistent: "true" });
    frame.end("from stompit");
    await confirmed((options) => transaction.commit(options));
    const message = await new Promise((done, fail) =>
      client.subscribe({ destination: "/queue/js.stompit", ack: "client-individual" }, (error, it) => (error ? fail(error) : done(it))),
    );
    const body = await new Promise((done, fail) =>
      message.readString("utf-8", (error, text) => (error ? fail(error) : done(text))),
    );
    assert.equal(body, "from stompit");
    assert.equal(message.headers.persistent, "true");
    await confirmed((options) => client.ack(message, {}, options));
    await new Promise((done, fail) => client.disconnect((error) => (error ? fail(error) : done())));
    const connection = await Connection.open();
    assert.deepEqual(await connection.browse("/queue/js.stompit"), []);
    await connection.close();
  },
};

let passed = 0, failed = 0;
for (const [name, check] of Object.entries(checks)) {
  const begun = performance.now();
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`the check took longer than ${CHECK_MILLISECONDS_MAX} ms`)), CHECK_MILLISECONDS_MAX);
  });
  let problem;
  try {
    await Promise.race([check(), late]);
    passed += 1;
  } catch (error) {
    problem = error;
    failed += 1;
  }
  clearTimeout(timer);
  const milliseconds = String(Math.round(performance.now() - begun)).padStart(6);
  console.log(`${problem ? "FAILED" : "ok    "} ${milliseconds} ms  ${name}`);
  if (problem) console.log(problem.stack);
}
console.log(`javascript: ${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
