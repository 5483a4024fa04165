// openai-node's OpenAIRealtimeWS, which speaks wss:// only. The tasks of benchmarks/client.py, for one connection.
import { createRequire } from "node:module";

const spec = JSON.parse(process.argv[2]);
const require = createRequire(spec.packages + "/");
const { OpenAI } = require("openai");
const { OpenAIRealtimeWS } = require("openai/realtime/ws");

const PCM = Buffer.alloc(spec.size ?? 0, 7);
const MARK = "input_audio_buffer.cleared";
const client = new OpenAI({ apiKey: "benchmark", baseURL: `https://127.0.0.1:${spec.port}/v1` });

const cpu = () => { const used = process.cpuUsage(); return (used.user + used.system) / 1e6; };
const now = () => Number(process.hrtime.bigint()) / 1e9;
const percentile = (values, share) =>
  values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

function open() {
  return new Promise((resolve, reject) => {
    const connection = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
    connection.on("error", reject);
    connection.on("session.created", () => resolve(connection));
  });
}

function peer(connection) {
  let marked = () => {};
  const found = {
    taken: 0,
    ask: () => new Promise((resolve) => {
      marked = resolve;
      connection.send({ type: "input_audio_buffer.clear" });
    }),
    append: () => connection.send({ type: "input_audio_buffer.append", audio: PCM.toString("base64") }),
  };
  connection.on(MARK, () => marked());
  if (spec.handled) connection.on(spec.handled, (event) => { if (event.delta) found.taken += 1; });
  return found;
}

async function receive() {
  const one = peer(await open());
  for (let number = 0; number < spec.before; number += 1) await one.ask();
  const seen = one.taken, wall = now(), used = cpu();
  await one.ask();
  const figures = { cpu: cpu() - used, wall: now() - wall };
  if (one.taken - seen !== spec.deltas) throw new Error(`${one.taken - seen} of ${spec.deltas} deltas were handled`);
  return figures;
}

async function roundTrip() {
  const one = peer(await open()), took = [];
  for (let number = 0; number < spec.times / 10; number += 1) await one.ask();
  for (let number = 0; number < spec.times; number += 1) {
    const begin = now();
    await one.ask();
    took.push(now() - begin);
  }
  return { p50: percentile(took, 0.5), p99: percentile(took, 0.99) };
}

async function send() {
  const one = peer(await open());
  for (let number = 0; number < 1 + spec.times / 10; number += 1) one.append();
  await one.ask();
  const wall = now(), used = cpu();
  for (let number = 0; number < spec.times; number += 1) one.append();
  await one.ask();
  return { cpu: cpu() - used, wall: now() - wall };
}

async function opening() {
  const figures = {};
  for (const name of ["first", "again"]) {
    const wall = now(), used = cpu();
    const connection = await open();
    figures[`${name}_wall`] = now() - wall;
    figures[`${name}_cpu`] = cpu() - used;
    connection.close();
  }
  return figures;
}

const tasks = { receive, round_trip: roundTrip, send, opening };
console.log(JSON.stringify(await tasks[spec.task]()));
process.exit(0);
