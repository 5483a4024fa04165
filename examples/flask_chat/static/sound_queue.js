// Sound that waits: for a connection, which takes a moment to open, or for one that is slow. What is said at once after
// "Talk" is heard; what nobody took for seconds is not, as nobody wants answers to it any more.

const MOST = 125;                                 // chunks of 40 ms: 5 s
const PIECE = 60;                                 // of them in one event: 2.4 s, which the gate lets through

export class SoundQueue {
  constructor() {
    this.chunks = [];
  }

  get empty() {
    return this.chunks.length === 0;
  }

  add(chunk) {
    if (this.chunks.push(chunk) > MOST) this.chunks.shift();
  }

  /** The oldest of it, as one base64: that of chunks which are whole threes of bytes can be joined. */
  take() {
    return this.chunks.splice(0, PIECE).join("");
  }

  clear() {
    this.chunks.length = 0;
  }
}
