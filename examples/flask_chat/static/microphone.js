// The microphone's end in the audio thread: what comes at the device's rate goes out as chunks of 24 kHz PCM16.

import { Resampler, pcm16 } from "./resampler.js";

const RATE = 24000;
const CHUNK = 960;            // samples: 40 ms, two frames of what voice detection works in

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.chunk = new Float32Array(CHUNK);
    this.filled = 0;
    this.running = true;
    this.port.onmessage = () => { this.running = false; };
  }

  process([channels]) {
    if (channels.length) this.take(this.resampler.push(mixed(channels)));
    return this.running;
  }

  take(samples) {
    for (const each of samples) {
      this.chunk[this.filled++] = each;
      if (this.filled === CHUNK) this.send();
    }
  }

  send() {
    const level = Math.sqrt(this.chunk.reduce((sum, each) => sum + each * each, 0) / CHUNK);
    const pcm = pcm16(this.chunk).buffer;
    this.port.postMessage({ pcm, level }, [pcm]);
    this.filled = 0;
  }
}

function mixed(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, index) => channels.reduce((sum, each) => sum + each[index], 0) / channels.length);
}

registerProcessor("microphone", Microphone);
