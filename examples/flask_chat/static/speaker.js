// The speaker's end in the audio thread: a queue of samples, which knows to the sample what of each item was played.

const FADE = 120;             // samples over which sound that is stopped falls silent, so that it does not click

class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];          // [{ item, samples, at }]
    this.items = new Map();   // Of each: how many samples were given and played, and whether that is all.
    this.fading = [];
    this.sounding = false;
    this.port.onmessage = ({ data }) => this[data.do](data);
  }

  play({ item, samples }) {
    for (const [known, { given, played, finished }] of this.items) {
      if (finished && played === given) this.items.delete(known);
    }
    this.known(item).given += samples.length;
    this.queue.push({ item, samples, at: 0 });
  }

  finish({ item }) {
    this.known(item).finished = true;
  }

  stop() {
    const heard = [...this.items].map(([item, counts]) => ({ item, ...counts }));
    const next = this.queue[0];
    this.fading = next ? Array.from(next.samples.subarray(next.at, next.at + FADE), (each, n) => each * (1 - n / FADE)) : [];
    this.queue = [];
    this.items.clear();
    this.port.postMessage({ stopped: heard });
  }

  known(item) {
    if (!this.items.has(item)) this.items.set(item, { given: 0, played: 0, finished: false });
    return this.items.get(item);
  }

  process(_, [channels]) {
    const [out] = channels;
    const filled = this.fading.length ? this.fade(out) : this.fill(out);
    for (const other of channels.slice(1)) other.set(out);
    if (this.sounding !== filled > 0) {
      this.sounding = filled > 0;
      this.port.postMessage({ sounding: this.sounding });
    }
    return true;
  }

  fill(out) {
    let filled = 0;
    while (filled < out.length && this.queue.length) {
      const first = this.queue[0];
      const count = Math.min(out.length - filled, first.samples.length - first.at);
      out.set(first.samples.subarray(first.at, first.at + count), filled);
      filled += count;
      first.at += count;
      this.known(first.item).played += count;
      if (first.at === first.samples.length) this.queue.shift();
    }
    return filled;
  }

  fade(out) {
    const part = this.fading.splice(0, out.length);
    out.set(part);
    return part.length;
  }
}

registerProcessor("speaker", Speaker);
