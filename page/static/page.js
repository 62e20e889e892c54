// The page: a list of films, the film that is chosen, and what the network says of it.

import { section } from "./card.js";
import { bars, chance, mapMeaning, meaning, part } from "./chances.js";
import { Coverage, setMeaning } from "./coverage.js";
import { ofDrop, ofInput } from "./dropped.js";
import { Prevalence } from "./prevalence.js";
import * as server from "./server.js";
import { Viewer } from "./viewer.js";

const AT_ONCE = 3; // films on their way to the server
const MOST = 10000; // films in the list
const LEAP = 10; // films that Page Down goes over
const KEPT = 4; // decoded films, so that going back is fast
const $ = (id) => document.getElementById(id);

const network = await server.network().catch((error) => {
  $("trouble").textContent = error.message;
  throw error;
});
const items = []; // {id, file, name, folder, state, row, logits, heat, shown, option}
const waiting = [];
const films = new Map(); // item -> promise of its film
let sending = 0;
let number = 0;
let passedOver = 0;
let selected = null;
let prevalence = null;
let { coverage } = network; // of the prediction sets; null where it has none

// ---- The list ----

function add(found) {
  const room = MOST - items.length;
  complain(found.length > room ? `Only ${room} of ${found.length} files were added; clear the list.` : "");
  for (const each of found.slice(0, room)) {
    const item = { ...each, id: `film-${++number}`, state: "waiting" };
    item.option = document.createElement("li");
    item.option.id = item.id;
    item.option.setAttribute("role", "option");
    item.option.setAttribute("aria-selected", "false");
    item.option.addEventListener("click", () => select(item));
    items.push(item);
    waiting.push(item);
    list.append(item.option);
    describe(item);
  }
  show();
  send();
}

async function send() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    predict(waiting.shift()).finally(() => {
      sending -= 1;
      show();
      selectFirst();
      send();
    });
  }
}

async function predict(item) {
  let asked;
  try {
    const most = network.most_bytes;
    if (item.file.size > most) {
      throw new Error(`more than ${most.toLocaleString("en")} bytes; give webpage.py a larger --max-megabytes`);
    }
    asked = coverage;
    const seen = await server.look(item, asked);
    if (!items.includes(item)) return; // the list was cleared
    if (!seen.row) {
      remove(item);
      passedOver += 1;
      return;
    }
    Object.assign(item, seen);
  } catch (error) {
    item.row = {
      file: item.name, label: null, probabilities: {}, ...(coverage !== null && { set: null, set_note: null }),
      doubtful: null, checkpoint: network.name, error: error.message,
    };
    item.logits = null;
  }
  item.state = item.row.error === null ? "done" : "failed";
  item.shown = item.row;
  describe(item);
  if ((prevalence || asked !== coverage) && item.logits) move();
  if (selected === item) select(item);
}

/** The first film of the list, until the user selects one: not the one that came back first. */
function selectFirst() {
  const film = items.find((item) => item.state !== "failed");
  if (!selected && film?.state === "done") select(film);
}

function remove(item) {
  items.splice(items.indexOf(item), 1);
  item.option.remove();
  if (selected !== item) return;
  selected = null;
  list.removeAttribute("aria-activedescendant");
  tell();
}

function describe(item) {
  const { option, shown, state } = item;
  const parts = [part("name", item.name)];
  if (state === "waiting") parts.push(part("says", "waits"));
  else if (state === "failed") parts.push(part("failed", `Not read: ${shown.error}`));
  else {
    parts.push(part("says", shown.label), part("chance", chance(shown.probabilities[shown.label])));
    if (shown.doubtful) parts.push(part("doubted", `Doubtful: ${shown.doubtful}`));
  }
  option.replaceChildren(...parts);
  option.title = item.name;
}

/** What the list as a whole shows: how far it is, and what can be done with it. */
function show() {
  const done = items.filter((item) => item.state !== "waiting");
  const failed = done.filter((item) => item.state === "failed").length;
  for (const id of ["list", "actions", "progress"]) $(id).hidden = !items.length;
  $("bar").max = items.length || 1;
  $("bar").value = done.length;
  const films = (n) => `${n} ${n === 1 ? "film" : "films"}`;
  let text = done.length < items.length ? `${done.length} of ${films(items.length)}` : films(done.length);
  if (failed) text += `, ${failed} could not be read`;
  if (passedOver) text += `; ${passedOver} other ${passedOver === 1 ? "file" : "files"} passed over`;
  $("count").textContent = text;
  $("save").disabled = !done.length;
  if ((items.length || passedOver) && done.length === items.length) say(`Done: ${text}.`);
  else if (items.length && !done.length) say(`${films(items.length)} on the way.`);
}

/** To those who listen; `show` shows it to those who see. */
function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function complain(text) {
  $("trouble").textContent = text;
}

function clear() {
  items.splice(0);
  waiting.splice(0);
  films.clear();
  passedOver = 0;
  list.replaceChildren();
  list.removeAttribute("aria-activedescendant");
  selected = null;
  viewer.show(null);
  tell();
  show();
  say("");
  $("choose-files").focus();
}

// ---- The film that is chosen ----

async function select(item) {
  selected?.option.setAttribute("aria-selected", "false");
  selected = item;
  item.option.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", item.id);
  item.option.scrollIntoView({ block: "nearest" });
  tell();
  viewer.show(null);
  if (item.state !== "done") {
    stageText(item.state === "failed" ? "Not read" : "Waits for its turn");
    return;
  }
  stageText("Loading the film");
  try {
    const film = await filmOf(item);
    if (selected !== item) return;
    stageText("");
    viewer.show(film, item.heat);
    tell();
  } catch (error) {
    films.delete(item);
    if (selected === item) stageText(error.message);
  }
}

function filmOf(item) {
  const film = films.get(item) ?? server.film(item.file);
  films.delete(item);
  films.set(item, film);
  if (films.size > KEPT) films.delete(films.keys().next().value);
  return film;
}

function stageText(text) {
  $("stage-text").textContent = text;
}

/** What stands beside the film. */
function tell() {
  const item = selected;
  $("empty").hidden = Boolean(item);
  $("result").hidden = !item;
  const size = viewer.film && `, ${viewer.film.bitmap.width} by ${viewer.film.bitmap.height} pixels`;
  $("stage").setAttribute("aria-label", item ? `Film ${item.name}${size || ""}` : "No film is shown");
  if (!item) {
    stageText("Drop a chest radiograph here");
    return;
  }
  const row = item.shown;
  const done = item.state === "done";
  $("file").textContent = item.name;
  $("class").textContent = done ? row.label : row ? `Not read: ${row.error}` : "Waits for its turn";
  $("class").classList.toggle("failed", item.state === "failed");
  $("doubt").hidden = !row?.doubtful;
  $("doubt").textContent = row?.doubtful ? `Doubtful: ${row.doubtful}.` : "";
  for (const id of ["chances", "meaning", "map-meaning"]) $(id).hidden = !done;
  $("set").hidden = !row?.set;
  if (!done) return;
  $("chances").replaceChildren(...bars(network.classes, row));
  $("set").textContent = row.set ? setMeaning(row, coverage) : "";
  $("meaning").textContent = meaning(network, row, prevalence);
  $("map-meaning").textContent = mapMeaning(network.classes, item.logits);
}

// ---- Prevalence and coverage: the server reads the logits, so that rows are those of the script ----

let moving = false;
let again = false;

async function move() {
  again = moving;
  if (moving) return;
  moving = true;
  const moved = items.filter((item) => item.state !== "waiting");
  try {
    const rows = await server.rows(moved, prevalence, coverage, "json");
    moved.forEach((item, k) => {
      item.shown = rows[k];
      describe(item);
    });
    if (selected) tell();
  } catch (error) {
    $(error.message.startsWith("coverage") ? "coverage-error" : "shares-error").textContent = error.message;
  }
  moving = false;
  if (again) move();
}

async function save() {
  try {
    const done = items.filter((item) => item.state !== "waiting");
    const table = await server.rows(done, prevalence, coverage, "csv");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
    link.download = "predictions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${done.length} rows saved as predictions.csv.`);
  } catch (error) {
    complain(error.message);
  }
}

// ---- The page ----

const list = $("list");
const viewer = new Viewer($("stage"), $("canvas"), network.colours, (view) => {
  $("zoom").textContent = view.film ? `${Math.round(100 * view.scale)} %` : "";
  $("window").value = view.window;
  $("level").value = view.level;
});
$("opacity").value = network.strongest;
viewer.setOpacity(network.strongest);
$("no-gate").textContent = network.no_gate ? `${network.name}: ${network.no_gate}.` : "";
$("no-gate").hidden = !network.no_gate;

new Prevalence(
  network.classes, network.prior,
  {
    shares: $("shares"), reset: $("as-trained"), text: $("prevalence-text"), error: $("shares-error"),
  },
  (shares) => {
    prevalence = shares;
    move();
  },
);

new Coverage(
  network.coverage,
  {
    text: $("coverage-text"), number: $("coverage"), slider: $("coverage-slider"),
    error: $("coverage-error"),
  },
  (share) => {
    coverage = share;
    move();
  },
);

$("card").append(...network.card.map(section));

const on = (id, event, act) => $(id).addEventListener(event, act);
on("choose-files", "click", () => $("files").click());
on("choose-folder", "click", () => $("folder").click());
for (const id of ["files", "folder"]) {
  on(id, "change", (event) => {
    add(ofInput(event.target.files));
    event.target.value = ""; // so that the same file can be chosen again
  });
}
on("save", "click", save);
on("clear", "click", clear);
on("zoom-in", "click", () => viewer.zoomBy(1.25));
on("zoom-out", "click", () => viewer.zoomBy(0.8));
on("fit", "click", () => viewer.fit());
on("actual", "click", () => viewer.zoomTo(1));
on("reset", "click", () => viewer.reset());
for (const id of ["window", "level"]) {
  on(id, "input", () => viewer.setWindow(Number($("window").value), Number($("level").value)));
}
on("opacity", "input", () => viewer.setOpacity(Number($("opacity").value)));
on("about-open", "click", () => $("about").showModal());

on("list", "keydown", (event) => {
  const at = items.indexOf(selected), last = items.length - 1;
  const to = {
    ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last,
    PageDown: Math.min(at + LEAP, last), PageUp: Math.max(at - LEAP, 0),
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (items[to]) select(items[to]);
});

for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
  });
}
document.addEventListener("drop", async (event) => add(await ofDrop(event.dataTransfer)));
$("choose-files").disabled = $("choose-folder").disabled = false; // now somebody hears of a film
