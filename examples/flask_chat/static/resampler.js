// Sound from one sample rate to another, as a stream: a Kaiser-windowed sinc in phases, with the same result however
// the stream is cut. Output sample n stands at the moment of input sample n * from / to: there is no delay to account
// for, only the last half of a filter that comes with `flush`.

const TAPS = 32;            // of the filter at the lower of the two rates
const PASS = 0.9;           // of the lower rate's half: in the middle of the transition
const BETA = 6.8;           // 70 dB

export class Resampler {
  constructor(from, to) {
    const shared = divisor(from, to);
    this.step = from / shared;          // Input samples in which `phases` output samples stand.
    this.phases = to / shared;
    const taps = 2 * Math.ceil((TAPS / 2) * Math.max(1, from / to));
    this.half = taps / 2;
    this.filters = Array.from({ length: this.phases }, (_, phase) =>
      filter(taps, phase / this.phases, PASS * Math.min(1, to / from)));
    this.held = new Float32Array(this.half - 1);   // Silence before the first sample, so that it can be in the middle.
    this.index = 0;                     // Of `held`, where the filter of the next output sample begins.
    this.phase = 0;
  }

  /** Output samples for `samples`, a Float32Array, as far as they can be known. */
  push(samples) {
    const all = new Float32Array(this.held.length + samples.length);
    all.set(this.held);
    all.set(samples, this.held.length);
    const taps = 2 * this.half;
    const found = [];
    while (this.index + taps <= all.length) {
      const weights = this.filters[this.phase];
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += weights[tap] * all[this.index + tap];
      found.push(sum);
      this.phase += this.step;
      this.index += Math.floor(this.phase / this.phases);
      this.phase %= this.phases;
    }
    const used = Math.min(this.index, all.length);
    this.held = all.slice(used);
    this.index -= used;
    return Float32Array.from(found);
  }

  /** What the end of the stream leaves. */
  flush() {
    return this.push(new Float32Array(this.half));
  }
}

/** 16-bit samples, little-endian on every machine that runs a browser; what is too loud is clipped. */
export function pcm16(samples) {
  return Int16Array.from(samples, each => Math.max(-32768, Math.min(32767, Math.round(each * 32768))));
}

// The weights for an output sample that stands `shift` of a sample behind the tap in the middle.
function filter(taps, shift, cutoff) {
  const half = taps / 2;
  const weights = Float64Array.from({ length: taps }, (_, tap) => {
    const at = tap - (half - 1) - shift;
    return sinc(at * cutoff) * kaiser(at / half);
  });
  const sum = weights.reduce((one, other) => one + other);
  return weights.map(each => each / sum);         // So that each phase is equally loud.
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

function bessel(x) {          // I0, by its series
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}
