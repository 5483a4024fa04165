// What was said, on the page: a list of messages by item id. Everything that comes from outside is text, never markup.

const NEAR = 80;                                  // px from the end: who reads there wants to see what comes

export class Transcript {
  /** `list` takes the messages, `frame` scrolls, `announcer` is read out. */
  constructor({ list, frame, announcer, template }) {
    Object.assign(this, { list, frame, announcer, template });
    this.messages = new Map();
  }

  get empty() {
    return this.messages.size === 0;
  }

  clear() {
    this.messages.clear();
    this.list.replaceChildren();
  }

  /** The message of an item, made where it is new: behind `previous`, or at the end. */
  message(id, role, previous = undefined) {
    if (this.messages.has(id)) return this.messages.get(id);
    const node = this.template.content.firstElementChild.cloneNode(true);
    node.dataset.role = role;
    node.dataset.item = id;
    node.querySelector(".who").textContent = role === "user" ? "You" : "Assistant";
    const message = { node, text: "" };
    this.messages.set(id, message);
    this.moving(() => {
      const before = this.messages.get(previous)?.node;
      if (before) before.after(node);
      else this.list.append(node);
    });
    return message;
  }

  /** `text` so far, or all of it. */
  write(message, text, { done = true, announced = false } = {}) {
    message.text = text;
    this.moving(() => {
      message.node.querySelector(".words").textContent = text;
      message.node.classList.toggle("streaming", !done);
    });
    if (announced && text) this.announcer.textContent = `${message.node.querySelector(".who").textContent}: ${text}`;
  }

  /** A remark below the words; none with "". */
  remark(message, text) {
    this.moving(() => { message.node.querySelector(".remark").textContent = text; });
  }

  remove(id) {
    this.messages.get(id)?.node.remove();
    this.messages.delete(id);
  }

  moving(change) {
    const { frame } = this;
    const follows = frame.scrollHeight - frame.scrollTop - frame.clientHeight < NEAR;
    change();
    if (follows) frame.scrollTop = frame.scrollHeight;
  }
}

/** What an item says, as far as it is words. */
export function textOf(item) {
  return (item.content || []).map(part => part.text ?? part.transcript ?? "").join("");
}
