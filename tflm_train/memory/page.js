"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const plot = document.getElementById("plot"), told = document.getElementById("told");
const moment = document.getElementById("moment"), stretch = document.getElementById("stretch");
const columns = data.ops.length + 1, most = 6;
let chosen = null;

const bytes = n => n.toLocaleString("en") + " bytes";
const op = i => i < 0 ? "the inputs" : "op " + i + " (" + data.ops[i] + ")";
const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
const tell = (...lines) => told.replaceChildren(...lines);

function tellBuffer(buffer) {
  const span = buffer.last - buffer.first + 1;
  const made = buffer.first < 0 ? "It is there before the first op" : "It lives from " + op(buffer.first);
  const end = buffer.first === buffer.last ? " during that op alone."
    : " to " + op(buffer.last) + ", over " + span + " ops.";
  tell(element("strong", buffer.name), element("p", bytes(buffer.bytes) + " at offset "
    + buffer.offset.toLocaleString("en") + ": " + buffer.why + ". " + made + end));
}

function tellMoment(time) {
  const alive = data.buffers.filter(b => b.first <= time && time <= b.last)
    .sort((a, b) => b.bytes - a.bytes);
  const list = document.createElement("ul");
  for (const buffer of alive.slice(0, most)) {
    const line = document.createElement("li");
    line.append(element("span", buffer.bytes.toLocaleString("en")), element("b", buffer.name.split(";")[0]));
    list.append(line);
  }
  const rest = alive.slice(most).reduce((sum, b) => sum + b.bytes, 0);
  if (rest) {
    const line = document.createElement("li");
    line.append(element("span", rest.toLocaleString("en")), element("b", (alive.length - most) + " more"));
    list.append(line);
  }
  const name = op(time).replace(/^./, c => c.toUpperCase());
  const where = time === data.peak ? "The peak, " + op(time) : name;
  tell(element("strong", where + ": " + bytes(data.alive[time + 1] || 0) + " alive"), list);
}

function choose(button) {
  if (chosen) chosen.classList.remove("chosen");
  chosen = button;
  if (chosen) chosen.classList.add("chosen");
}

function point(event) {
  const box = plot.getBoundingClientRect();
  const time = Math.min(columns - 1, Math.max(0, Math.floor(columns * (event.clientX - box.left) / box.width))) - 1;
  moment.style.left = 100 * (time + 1) / columns + "%";
  moment.style.display = "block";
  const button = event.target.closest("button");
  choose(button);
  if (button) tellBuffer(data.buffers[button.dataset.buffer]); else tellMoment(time);
}

function label() {
  for (const button of plot.querySelectorAll("button")) {
    const { width, height } = button.getBoundingClientRect();
    button.classList.toggle("up", width < 60 && height > 60 && width >= 12);
    button.classList.toggle("bare", height < 11 || (width < 40 && !(height > 60 && width >= 12)));
  }
}

plot.addEventListener("pointermove", point);
plot.addEventListener("click", point);
plot.addEventListener("focusin", event => {
  const button = event.target.closest("button");
  if (button && button !== chosen) { choose(button); tellBuffer(data.buffers[button.dataset.buffer]); }
});
plot.addEventListener("pointerleave", () => { moment.style.display = "none"; });
document.getElementById("zoom").addEventListener("input", event => {
  stretch.style.width = 100 * event.target.value + "%";
  label();
});
addEventListener("resize", label);
label();
tellMoment(data.peak);
