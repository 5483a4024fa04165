// The page: what people do becomes client events of the Realtime API, and what the service says becomes the transcript.

import { Connection, made } from "./connection.js";
import { Transcript, textOf } from "./transcript.js";
import { Voice } from "./voice.js";

const $ = id => document.getElementById(id);
const { base, csrf } = document.body.dataset;

// What goes wrong when two sides act at once, and is what was wanted anyway.
const HARMLESS = new Set([
  "conversation_already_has_active_response", "input_audio_buffer_commit_empty", "response_cancel_not_active",
]);

const IDLE = {
  busy: false,                // an answer has been asked for, and is not over
  running: undefined,         // its id, once it is known
  asked: undefined,           // event_id of what asked for it
  cancelling: false,
  next: undefined,            // a response.create that waits until it is over
  speaking: false,            // the person
};
const now = { ...IDLE };
const cut = new Set();        // ids of responses of which nothing more is to be heard
const notes = new Map();      // by item id, what stands below it
let lost = false;             // whether what is complained of is over with the next connection

const transcript = new Transcript({
  list: $("messages"), frame: $("log"), announcer: $("announcer"), template: $("message"),
});
const voice = new Voice({ onSound, onLevel, onSounding: show, onLost: stopTalking });

// -- what people do ----------------------------------------------------------------------------------------------------

$("composer").addEventListener("submit", event => {
  event.preventDefault();
  const text = $("words").value.trim();
  if (text) say(text);
});
$("words").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("words").addEventListener("input", fit);
$("talk").addEventListener("click", () => voice.on ? stopTalking() : talk());
$("interrupt").addEventListener("click", interrupt);
$("again").addEventListener("click", beginAgain);
$("dismiss").addEventListener("click", () => complain(""));
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && !$("interrupt").hidden) interrupt();
});

async function say(text) {
  $("words").value = "";
  fit();
  complain("");
  await interrupt();          // Whoever speaks next has the floor.
  const item = { id: made("item"), type: "message", role: "user", content: [{ type: "input_text", text }] };
  transcript.write(transcript.message(item.id, "user"), text);
  connection.send({ type: "conversation.item.create", item });
  ask();
}

function ask() {
  const event = { type: "response.create", ...(voice.on ? {} : { response: { output_modalities: ["text"] } }) };
  if (now.busy) now.next = event;
  else askNow(event);
  show();
}

function askNow(event) {
  now.busy = true;
  now.asked = connection.send(event);
}

async function interrupt() {
  if (now.busy && !now.cancelling) {
    now.cancelling = true;
    connection.send({ type: "response.cancel", ...(now.running && { response_id: now.running }) });
  }
  await cutShort();
}

// The service knows what it has sent; what of it was heard, only the page does.
async function cutShort() {
  if (now.running) cut.add(now.running);
  for (const { item, heard_ms, whole } of await voice.silence()) {
    if (whole) continue;
    note(item, heard_ms ? `Interrupted after ${(heard_ms / 1000).toFixed(1)} s` : "Not heard");
    if (heard_ms) {
      connection.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: heard_ms });
    }
  }
  show();
}

async function talk() {
  complain("");
  connection.dropSound();     // What a slow connection did not take of the last time.
  $("talk").disabled = true;
  try {
    await voice.start();
    if (connection.state === "new" || connection.state === "ended") connection.connect();
  } catch (error) {
    complain(error.message);
  }
  $("talk").disabled = false;
  show();
}

async function stopTalking(why = "") {
  await interrupt();
  voice.close();
  if (now.speaking) {         // Nobody will hear the silence that ends a turn.
    now.speaking = false;
    connection.send({ type: "input_audio_buffer.commit" });
    ask();
  } else {
    connection.dropSound();
    if (connection.state === "open") connection.send({ type: "input_audio_buffer.clear" });
  }
  onLevel(0);
  complain(why);
  show();
}

async function beginAgain() {
  voice.close();
  reset();
  transcript.clear();
  complain("");
  await connection.close();
  $("words").focus();
}

// -- what the microphone hears -----------------------------------------------------------------------------------------

function onSound(sound) {
  connection.sendSound(sound);
}

function onLevel(level) {
  $("talk").style.setProperty("--level", Math.min(1, level * 6).toFixed(2));
}

// -- what the server says ----------------------------------------------------------------------------------------------

const on = {
  "conversation.item.added": event => put(event.item, event.previous_item_id),
  "conversation.item.done": event => put(event.item, event.previous_item_id),
  "conversation.item.deleted": event => transcript.remove(event.item_id),
  "conversation.item.truncated": event => note(event.item_id, `Interrupted after ${seconds(event.audio_end_ms)} s`),

  "response.created": event => runs(event.response.id),
  "response.output_text.delta": streamed,
  "response.output_text.done": event => said(event, event.text),
  "response.output_audio_transcript.delta": streamed,
  "response.output_audio_transcript.done": event => said(event, event.transcript),
  "response.output_audio.delta": event => {
    if (voice.on && !cut.has(event.response_id)) voice.play(event.item_id, event.delta);
  },
  "response.output_audio.done": event => voice.finish(event.item_id),
  "response.done": event => ended(event.response),

  "input_audio_buffer.speech_started": event => {
    now.speaking = true;
    listen(event.item_id);
    cutShort();               // The service cancels what it was saying by itself.
  },
  "input_audio_buffer.speech_stopped": () => { now.speaking = false; },
  "input_audio_buffer.committed": event => { now.speaking = false; listen(event.item_id); },
  "conversation.item.input_audio_transcription.delta": event => {
    const message = transcript.message(event.item_id, "user");
    transcript.write(message, message.text + event.delta, { done: false });
  },
  "conversation.item.input_audio_transcription.completed": event => {
    transcript.write(transcript.message(event.item_id, "user"), event.transcript, { announced: true });
    note(event.item_id, event.transcript.trim() ? "" : "Nothing was understood");
  },
  "conversation.item.input_audio_transcription.failed": event => {
    transcript.write(transcript.message(event.item_id, "user"), "");
    note(event.item_id, "Not understood");
  },

  "error": ({ error }) => refused(error.event_id, HARMLESS.has(error.code) ? "" : error.message),
  "rtsync.command.failed": event => refused(event.command_id, event.message),
  "rtsync.session.moved": event => {
    over();
    now.busy = event.again.length > 0;
    now.speaking = false;
    if (event.lost.length) complain("The connection to the service was renewed, and something of what was said is lost.");
  },
  "rtsync.session.closed": event => { if (event.cause !== "user") complain(`The conversation has ended: ${event.message}`); },
};

const connection = new Connection({ base, csrf, types: Object.keys(on), onEvent, onItems, onState });

function onEvent(event) {
  on[event.type]?.(event);
  show();
}

function onItems(items) {
  const { asked, next } = now;
  reset();
  transcript.clear();
  for (const item of items) put(item);
  for (const { item } of connection.outbox.values()) if (item) put(item);
  // What was sent before and not confirmed may be over: then nothing more comes of it.
  if (connection.waits(asked)) Object.assign(now, { busy: true, asked, next });
  show();
}

function onState(state, message) {
  if (state === "ended") reset();
  if (message || (state === "open" && lost)) complain(message);
  lost = message ? state === "waiting" : lost && state !== "open";
  show();
}

function put(item, previous) {
  if (item.type !== "message" || item.role === "system") return;
  const text = textOf(item);
  const message = transcript.message(item.id, item.role, previous);
  if (text) transcript.write(message, text, { done: item.status !== "in_progress" });
  else if (item.status === "in_progress") message.node.classList.add("streaming");
}

function listen(id) {
  if (!transcript.message(id, "user").text) note(id, now.speaking ? "Listening" : "Writing down");
}

function runs(id) {
  now.busy = true;
  now.running = id;
}

function streamed(event) {
  runs(event.response_id);    // After a reload in the middle of an answer nothing else tells.
  const message = transcript.message(event.item_id, "assistant");
  transcript.write(message, message.text + event.delta, { done: false });
}

function said(event, text) {
  transcript.write(transcript.message(event.item_id, "assistant"), text, { announced: true });
}

function ended(response) {
  over();
  for (const { id } of response.output || []) {
    const message = transcript.messages.get(id);
    message?.node.classList.remove("streaming");
    if (message && response.status === "cancelled" && !notes.get(id)) note(id, "Interrupted");
  }
  if (response.status === "failed") complain(response.status_details?.error?.message || "There was no answer.");
  if (response.status === "incomplete") complain("The answer was cut short by the service.");
  if (now.next) askNow(now.next);
  now.next = undefined;
}

function over() {
  Object.assign(now, { busy: false, running: undefined, asked: undefined, cancelling: false });
}

function refused(id, words) {
  if (id && id === now.asked) over();
  if (words) complain(words);
}

// -- what is shown -----------------------------------------------------------------------------------------------------

function status() {
  switch (connection.state) {
    case "connecting": return ["busy", "Connecting"];
    case "waiting": return ["lost", "Connection lost, trying again"];
    case "ended": return ["idle", "The conversation has ended"];
  }
  if (now.speaking) return ["live", "You are speaking"];
  if (voice.sounding) return ["busy", "Speaking"];
  if (now.busy) return ["busy", "Answering"];
  return voice.on ? ["live", "Listening"] : ["idle", "Ready"];
}

function show() {
  const [kind, words] = status();
  $("status").dataset.kind = kind;
  if ($("status").textContent !== words) $("status").textContent = words;
  $("interrupt").hidden = !(now.busy || voice.sounding);
  $("welcome").hidden = !transcript.empty;
  $("again").disabled = transcript.empty;
  $("talk").setAttribute("aria-pressed", String(voice.on));
  $("talk-label").textContent = voice.on ? "Stop talking" : "Talk";
}

function note(id, text) {
  const message = transcript.messages.get(id);
  notes.set(id, text);
  if (message) transcript.remark(message, text);
}

function complain(text) {
  $("complaint").hidden = !text;
  $("complaint-words").textContent = text || "";
}

function seconds(ms) {
  return (ms / 1000).toFixed(1);
}

function reset() {
  Object.assign(now, IDLE);
  cut.clear();
  notes.clear();
}

function fit() {
  const words = $("words");
  words.style.height = "auto";
  words.style.height = `${words.scrollHeight}px`;
}

show();
connection.resume();
$("words").focus();
