// The microphone and the speaker of the page. Both end in worklets; here they are opened, and sound becomes base64.

const RATE = 24000;

export class Voice {
  /**
   * `onSound(base64)`: 40 ms of the microphone. `onLevel(rms)`: how loud they were. `onSounding(whether)`: the speaker
   * begins or falls silent. `onLost(message)`: the microphone was taken away.
   */
  constructor({ onSound, onLevel, onSounding, onLost }) {
    Object.assign(this, { onSound, onLevel, onSounding, onLost });
    this.on = false;
    this.sounding = false;
    this.asked = [];                              // Who waits to know what was heard.
  }

  /** Opens both, and asks for the microphone. Throws an Error whose message is for people. */
  async start() {
    if (!window.isSecureContext || !window.AudioWorkletNode || !navigator.mediaDevices) {
      throw new Error("Voice needs a recent browser, and a page from https:// or localhost.");
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      await Promise.all([this.openMicrophone(), this.openSpeaker()]);
    } catch (error) {
      this.close();
      throw new Error(told(error));
    }
    this.on = true;
  }

  async openMicrophone() {
    this.ears = new AudioContext();               // At the device's own rate: not every browser converts it.
    await this.ears.audioWorklet.addModule(new URL("microphone.js", import.meta.url));
    this.microphone = new AudioWorkletNode(this.ears, "microphone", { numberOfOutputs: 0 });
    this.microphone.port.onmessage = ({ data }) => {
      this.onLevel(data.level);
      this.onSound(base64(data.pcm));
    };
    this.ears.createMediaStreamSource(this.stream).connect(this.microphone);
    this.stream.getAudioTracks()[0].onended = () => this.onLost("The microphone was disconnected.");
    await this.ears.resume();
  }

  async openSpeaker() {
    this.mouth = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    await this.mouth.audioWorklet.addModule(new URL("speaker.js", import.meta.url));
    this.speaker = new AudioWorkletNode(this.mouth, "speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    this.speaker.port.onmessage = ({ data }) => {
      if (data.stopped) this.asked.shift()(data.stopped);
      else this.onSounding(this.sounding = data.sounding);
    };
    this.speaker.connect(this.mouth.destination);
    await this.mouth.resume();
  }

  /** Queue what a delta brought. */
  play(item, delta) {
    const samples = floats(delta);
    this.speaker.port.postMessage({ do: "play", item, samples }, [samples.buffer]);
  }

  /** No more comes of `item`. */
  finish(item) {
    this.speaker?.port.postMessage({ do: "finish", item });
  }

  /** Falls silent, drops what waits, and tells of each item what was heard: `[{ item, heard_ms, whole }]`. */
  silence() {
    if (!this.speaker) return Promise.resolve([]);
    const late = (this.mouth.outputLatency || 0) + (this.mouth.baseLatency || 0);
    return new Promise(resolve => {
      this.asked.push(counts => resolve(counts.map(each => heard(each, late))));
      this.speaker.port.postMessage({ do: "stop" });
    });
  }

  close() {
    this.on = this.sounding = false;
    this.asked.splice(0).forEach(answer => answer([]));
    this.stream?.getTracks().forEach(track => { track.onended = null; track.stop(); });
    this.microphone?.port.postMessage("stop");
    for (const context of [this.ears, this.mouth]) context?.close().catch(() => {});
    this.stream = this.microphone = this.speaker = this.ears = this.mouth = undefined;
  }
}

/** What was heard of an item: what was played, but for what is still on its way through the device. */
export function heard({ item, given, played, finished }, late) {
  const whole = finished && played === given;
  return { item, whole, heard_ms: Math.max(0, Math.floor((played / RATE - (whole ? 0 : late)) * 1000)) };
}

export function base64(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}

export function floats(text) {
  const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer, 0, bytes.length >> 1), each => each / 32768);
}

function told(error) {
  return {
    NotAllowedError: "The browser was not allowed to use the microphone. Allow it in the address bar, and try again.",
    NotFoundError: "There is no microphone.",
    NotReadableError: "The microphone is used by another program.",
  }[error.name] || `The microphone could not be opened: ${error.message}`;
}
