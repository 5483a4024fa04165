// One conversation with the server, which outlives its links: what the page sends stays here until it is confirmed, and
// is sent again, with the same ids, over the next link. The server does what it knows already once.

import { Socket, Stream } from "./links.js";
import { SoundQueue } from "./sound_queue.js";

const SHORTEST = 500, LONGEST = 8000;             // ms between attempts
const MOST = 6;                                   // attempts to begin a conversation
const KEY = "rtsync";                             // in the storage of this tab
const OURS = [                                    // What tells, beside what the page takes, that something was done.
  "conversation.item.added", "conversation.item.done", "conversation.item.truncated", "input_audio_buffer.cleared",
  "input_audio_buffer.committed", "response.created", "response.done", "rtsync.command.failed", "rtsync.stream.gap",
];
const DONE = 1000, POLICY = 1008;                 // close codes

export class Connection {
  /**
   * `onEvent(event)`; `onItems(items)`: the conversation as the server knows it, at once and whenever that is not known
   * from the events; `onState(state, message)`: "new", "connecting", "open", "waiting" for the next attempt, or "ended".
   * `types`: of the events that the page takes.
   */
  constructor({ base, csrf, types, onEvent, onItems, onState }) {
    Object.assign(this, { base, types, onEvent, onItems, onState });
    this.headers = csrf ? { "X-CSRFToken": csrf } : {};
    this.Link = Socket;
    const kept = JSON.parse(sessionStorage.getItem(KEY) || "{}");
    this.id = kept.id;
    this.outbox = new Map(kept.outbox);           // By event_id, what is not confirmed.
    this.last = undefined;                        // Id of the last event that came.
    this.sent = new Set();                        // Of the outbox, what may have reached the server.
    this.sounds = new SoundQueue();
    this.attempts = 0;
    this.state = "new";
    window.addEventListener("online", () => this.state === "waiting" && this.connect());
    window.addEventListener("offline", () => this.state === "open" && this.wait());
  }

  /** Find the conversation of before a reload, if there is one. */
  async resume() {
    if (this.id || this.outbox.size) await this.connect();
  }

  /** Send an event until it is confirmed. Begins a conversation where there is none. */
  send(event) {
    const known = { event_id: made("event"), ...event };
    this.outbox.set(known.event_id, known);
    this.keep();
    if (this.state === "open") this.hand(known);
    else if (this.state === "new" || this.state === "ended") this.connect();
    return known.event_id;
  }

  /** Whether an event is here and was not sent yet. */
  waits(event_id) {
    return this.outbox.has(event_id) && !this.sent.has(event_id);
  }

  /** Send sound, once: now, or when the connection is open, if that is soon. */
  sendSound(audio) {
    this.sounds.add(audio);
    if (this.state === "open") this.link.sendSound();
  }

  /** Forget what sound still waits here. */
  dropSound() {
    this.sounds.clear();
  }

  /** End the conversation; the next event begins another one. */
  async close() {
    const { id, link } = this;
    link?.leave();
    this.link = undefined;
    this.forget();
    this.become("new");
    if (id) await this.call("DELETE", `/sessions/${id}`).catch(() => link?.close());   // It ends by itself, too.
  }

  async connect() {
    clearTimeout(this.timer);
    this.become("connecting");
    const attempt = this.attempt = {};            // Whatever a later one has replaced comes to nothing.
    try {
      if (!this.id) {
        const { id } = await this.call("POST", "/sessions");
        if (attempt !== this.attempt) return;
        this.id = id;
        this.keep();
      }
      if (this.last === undefined || this.attempts) await this.takeSnapshot(attempt);
    } catch (error) {
      if (attempt === this.attempt) this.failed(error);
      return;
    }
    if (attempt === this.attempt) this.openLink();
  }

  // Also what says that the session is still there: a browser does not tell why a link was refused.
  async takeSnapshot(attempt) {
    const { items, last_id } = await this.call("GET", `/sessions/${this.id}`);
    if (attempt !== this.attempt || this.last !== undefined) return;
    this.last = last_id || "";
    this.onItems(items);
  }

  openLink() {
    const { base, id, last: after, headers, sounds, Link } = this;
    const link = this.link = new Link({
      base, id, after, headers, sounds,
      types: new Set([...this.types, ...OURS]),
      onOpen: () => {
        this.patience = undefined;
        this.become("open");
        this.link.sendSound();                    // Before what was asked for when it had been said.
        this.sendAll();
      },
      onEvent: event => this.take(event),
      onClose: (code, reason) => {
        if (!link.opened && !this.everOpened && code !== DONE) this.Link = Link === Socket ? Stream : Socket;
        this.everOpened ||= link.opened;
        this.closed(code, reason);
      },
    });
  }

  sendAll() {
    for (const event of this.outbox.values()) this.hand(event);
  }

  hand(event) {
    this.sent.add(event.event_id);
    this.link.send(event);
  }

  take(event) {
    this.attempts = 0;
    this.last = event.rtsync_id || this.last;
    const waiting = [...this.outbox.values()];   // In order, as they are done: one that is stands for those before it.
    this.settle(waiting.slice(0, waiting.findLastIndex(sent => confirms(event, sent)) + 1));
    if (event.type === "rtsync.stream.gap") this.again();
    else if (event.type === "error") this.refused(event.error);
    this.onEvent(event);
    if (event.type === "rtsync.session.closed") this.end();
  }

  settle(events) {
    for (const { event_id } of events) {
      this.outbox.delete(event_id);
      this.sent.delete(event_id);
    }
    if (events.length) this.keep();
  }

  refused({ code, event_id, retry_after }) {
    this.patience = retry_after;
    if (code === "too_fast" || code === "unavailable") this.later(1000 * (retry_after || 2));
    else if (!event_id) this.settle([...this.outbox.values()]);   // It does not say which. They were sent, all of them.
  }

  again() {                                       // Too much was missed: from the snapshot on.
    this.last = undefined;
    this.drop();
    this.connect();
  }

  later(ms) {                                     // Which of them was refused is not always said, and need not be.
    clearTimeout(this.timer);
    const link = this.link;
    this.timer = setTimeout(() => link === this.link && this.state === "open" && this.sendAll(), ms);
  }

  closed(code, reason) {
    if (code === DONE) this.end();
    else if (code === POLICY && !this.patience) this.end(`The server has closed the connection: ${reason}.`);
    else this.wait(this.patience);
  }

  failed(error) {
    if (error.status === 404 || error.status === 410) {
      const waited = this.outbox.size > 0;
      this.end(waited ? "The conversation has ended, and the last words were not sent." : "The conversation has ended.");
    } else if (error.status && error.status < 500 && error.status !== 429) {
      this.end(error.message);
    } else if (!this.id && this.attempts >= MOST) {
      this.end(`${error.message} Nothing was sent.`);
    } else {
      this.wait(error.after, error.message);
    }
  }

  wait(after = 0, message = undefined) {
    this.drop();
    const ms = Math.max(after * 1000, Math.min(LONGEST, SHORTEST * 2 ** this.attempts++) * (0.75 + Math.random() / 2));
    this.become("waiting", message);
    this.timer = setTimeout(() => this.connect(), ms);
  }

  end(message = undefined) {
    this.forget();
    this.become("ended", message);
  }

  forget() {
    clearTimeout(this.timer);
    this.attempt = undefined;
    this.drop();
    this.id = this.last = undefined;
    this.attempts = 0;
    this.outbox.clear();
    this.sent.clear();
    this.sounds.clear();
    this.keep();
  }

  drop() {
    this.link?.close();
    this.link = undefined;
  }

  become(state, message = undefined) {
    this.state = state;
    this.onState(state, message);
  }

  keep() {
    sessionStorage.setItem(KEY, JSON.stringify({ id: this.id, outbox: [...this.outbox] }));
  }

  async call(method, path) {
    let answer;
    try {
      answer = await fetch(this.base + path, { method, headers: this.headers });
    } catch {
      throw new Error("The server is out of reach.");
    }
    if (answer.ok) return answer.status === 204 ? undefined : answer.json();
    const said = await answer.json().catch(() => ({}));
    const error = new Error(said.error?.message || `The server says ${answer.status}.`);
    throw Object.assign(error, { status: answer.status, after: Number(answer.headers.get("Retry-After")) || 0 });
  }
}

/** An id that nobody else makes; items have 32 characters at most. */
export function made(kind) {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `${kind}_${Array.from(bytes, each => each.toString(16).padStart(2, "0")).join("")}`;
}

/** Whether `event` says that what was `sent` is done, or will not be. */
export function confirms(event, sent) {
  const asked = event.response?.metadata?.rtsync_command;
  switch (event.type) {
    case "error": return event.error.event_id === sent.event_id;
    case "rtsync.command.failed": return event.command_id === sent.event_id;
    case "conversation.item.added":
    case "conversation.item.done": return sent.item?.id === event.item.id;
    case "conversation.item.truncated": return sent.type.endsWith(".truncate") && sent.item_id === event.item_id;
    case "response.created": return asked ? asked === sent.event_id : sent.type === "response.create";
    case "response.done": return asked === sent.event_id || sent.type === "response.cancel";
    case "input_audio_buffer.committed": return sent.type === "input_audio_buffer.commit";
    case "input_audio_buffer.cleared": return sent.type === "input_audio_buffer.clear";
    default: return false;
  }
}
