// Two ways to the server, for one conversation: a WebSocket, and where there is none (behind some proxies, or in an
// application that has none), server-sent events one way and posts the other. Either tells `onOpen()`, `onEvent(event)`
// and once `onClose(code, reason)`, with the close codes of the relay. `sendSound()` takes what can be sent from the queue
// `sounds`, and leaves the rest for the next time or the next link.

const FULL = 256 * 1024;                          // bytes that wait in a socket: more sound does not go into it
const DONE = 1000, CUT = 1006, AGAIN = 1012;

class Link {
  constructor({ sounds, onOpen, onEvent, onClose }) {
    Object.assign(this, { sounds, onOpen, onEvent, onClose });
    this.opened = this.over = false;
  }

  open() {
    this.opened = true;
    if (!this.over) this.onOpen();
  }

  end(code, reason = "") {
    if (this.over) return;
    this.close();
    this.onClose(code, reason);
  }

  sound() {
    return { type: "input_audio_buffer.append", audio: this.sounds.take() };
  }
}

export class Socket extends Link {
  constructor({ base, id, after, ...told }) {
    super(told);
    const url = new URL(`${base}/sessions/${id}/socket`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (after) url.searchParams.set("after", after);
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.open();
    this.socket.onmessage = ({ data }) => this.over || this.onEvent(JSON.parse(data));
    this.socket.onclose = ({ code, reason }) => this.end(code, reason);
  }

  send(event) {
    this.socket.send(JSON.stringify(event));
  }

  sendSound() {
    while (!this.sounds.empty && this.socket.bufferedAmount < FULL) this.send(this.sound());
  }

  /** Tells no more: the session is being ended, and the server closes the socket with it. */
  leave() {
    this.over = true;
  }

  close() {
    this.over = true;
    this.socket.close();
  }
}

export class Stream extends Link {
  constructor({ base, id, after, headers, types, ...told }) {
    super(told);
    this.url = `${base}/sessions/${id}/events`;
    this.headers = { ...headers, "Content-Type": "application/json" };
    this.sending = Promise.resolve();             // One post after the other, so that the order is kept.
    this.sounding = false;                        // Whether a post of sound is due; it takes along what comes.
    this.source = new EventSource(`${this.url}?after=${encodeURIComponent(after || "")}`);
    this.source.onopen = () => this.open();
    this.source.onerror = () => this.end(CUT);    // `Connection` knows when to come again.
    types.delete("error");                        // Which is the source's own; the service's come as messages.
    for (const type of types.add("message")) this.source.addEventListener(type, event => this.take(event));
    this.source.addEventListener("rtsync.stream.end", ({ data }) => this.end(JSON.parse(data).again ? AGAIN : DONE));
  }

  take({ data, lastEventId }) {
    this.onEvent({ ...JSON.parse(data), rtsync_id: lastEventId });
  }

  send(event) {
    this.sending = this.sending.then(() => this.over || this.post(event));
  }

  sendSound() {
    if (this.sounding || this.sounds.empty) return;
    this.sounding = true;
    this.sending = this.sending.then(async () => {
      this.sounding = false;
      if (this.over || this.sounds.empty) return;
      await this.post(this.sound());
      this.sendSound();                           // Behind what else waits by now: nothing waits for a whole queue.
    });
  }

  async post(event) {
    let answer;
    try {
      answer = await fetch(this.url, { method: "POST", headers: this.headers, body: JSON.stringify(event) });
    } catch {
      return this.end(CUT);
    }
    if (answer.ok || this.over) return undefined;
    const said = await answer.json().catch(() => undefined);
    if (!said?.error) return this.end(CUT);
    return this.onEvent({ ...said, error: { ...said.error, event_id: event.event_id } });
  }

  leave() {
    this.close();
  }

  close() {
    this.over = true;
    this.source.close();
  }
}
