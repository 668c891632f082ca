// What stompjs calls a WebSocket, over plain TCP: the part of the interface that it uses.

import net from "node:net";

const CONNECTING = 0, OPEN = 1, CLOSED = 3;

export class TcpSocket {
  constructor(port) {
    this.url = `tcp://127.0.0.1:${port}`;
    this.readyState = CONNECTING;
    this.socket = net.createConnection({ host: "127.0.0.1", port });
    this.socket.on("connect", () => {
      this.readyState = OPEN;
      this.onopen?.();
    });
    this.socket.on("data", (chunk) => this.onmessage?.({ data: new Uint8Array(chunk).buffer }));
    this.socket.on("error", (error) => this.onerror?.(error));
    this.socket.on("close", () => {
      this.readyState = CLOSED;
      this.onclose?.({ code: 1000, reason: "", wasClean: true });
    });
  }

  send(data) {
    this.socket.write(typeof data === "string" ? data : new Uint8Array(data));
  }

  close() {
    this.socket.end();
  }

  // Ends at once, without a word, as a client that dies.
  terminate() {
    this.socket.destroy();
  }
}
