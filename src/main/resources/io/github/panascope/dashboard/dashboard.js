"use strict";
// Everything that comes from the corpus is put in as text (textContent), never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const PAGE = 300;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

// ---------------------------------------------------------------------------------------------------------- tokens

let vocabulary;
const hex = id => (Array.isArray(vocabulary[id]) ? vocabulary[id][0] : null);
const visible = text =>
  text
    .replace(/\n/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/\r/g, "␍")
    .replace(
      /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
      c => "‹U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "›",
    );
// A token that is part of a character is shown as its bytes: ‹E2 82›.
const shown = id => {
  const h = hex(id);
  return h === null ? visible(vocabulary[id]) : "‹" + h.toUpperCase().match(/../g).join(" ") + "›";
};

// Joins a token's bytes with those of its neighbours to the characters that they are part of.
function whole(ids, at) {
  if (hex(ids[at]) === null) return null;
  let from = at,
    to = at;
  while (from > 0 && hex(ids[from - 1]) !== null) from--;
  while (to < ids.length - 1 && hex(ids[to + 1]) !== null) to++;
  const bytes = ids
    .slice(from, to + 1)
    .map(hex)
    .join("")
    .match(/../g)
    .map(h => parseInt(h, 16));
  return new TextDecoder().decode(new Uint8Array(bytes));
}

// ----------------------------------------------------------------------------------------------------- small parts

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") Object.assign(made.style, value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
const number = (value, digits = 3) => (value === null || !Number.isFinite(value) ? "–" : value.toFixed(digits));
const signed = (value, digits = 3) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(digits);
const percent = (value, digits = 3) => (100 * value).toFixed(digits) + "%";
const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// White to dark orange, as SAEDashboard colours activations; half as strong on dark pages, so that text is legible.
const heat = share =>
  share <= 0 ? "transparent" : `rgba(255, 140, 0, ${(Math.min(1, share) * (dark() ? 0.5 : 1)).toFixed(3)})`;
const underline = (loss, largest) =>
  !loss || !largest
    ? "transparent"
    : loss < 0
      ? `rgba(25, 95, 220, ${Math.min(1, -loss / largest).toFixed(3)})`
      : `rgba(220, 30, 30, ${Math.min(1, loss / largest).toFixed(3)})`;

function token(id, attributes = {}) {
  return element("span", { class: "token", ...attributes }, shown(id));
}

function table(caption, heads, rows) {
  // Without heads, the first cell of a row says what the second is.
  const head = heads.length
    ? [element("thead", {}, element("tr", {}, ...heads.map(text => element("th", { scope: "col" }, text))))]
    : [];
  const cell = (content, i) =>
    heads.length || i ? element("td", {}, content) : element("th", { scope: "row" }, content);
  return element(
    "table",
    {},
    ...(caption ? [element("caption", {}, caption)] : []),
    ...head,
    element("tbody", {}, ...rows.map(cells => element("tr", {}, ...cells.map(cell)))),
  );
}

const plots = [];
function histogram(where, { heights, values, ticks }, label, colours, drawn = plots) {
  const grid = dark() ? "#3a4048" : "#e3e7eb",
    ink = getComputedStyle(document.body).color,
    width = Math.max(240, Math.min(420, where.clientWidth));
  const total = heights.reduce((a, b) => a + b, 0),
    half = values.length > 1 ? (values[1] - values[0]) / 2 : 0.5;
  where.setAttribute("role", "img");
  where.setAttribute(
    "aria-label",
    `${label}: ${total} values from ${number(values[0] - half)} to ${number(values[values.length - 1] + half)}`,
  );
  const axis = {
    stroke: ink,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid },
    font: "11px system-ui, sans-serif",
  };
  drawn.push(
    new uPlot(
      {
        width,
        height: 150,
        legend: { show: true, live: true },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
          x: { time: false, range: () => [values[0] - half, values[values.length - 1] + half] },
          y: { range: (u, low, high) => [0, Math.max(1, high) * 1.05] },
        },
        axes: [
          { ...axis, splits: () => ticks },
          { ...axis, size: 52, values: (u, splits) => splits.map(v => (v >= 1000 ? v / 1000 + "k" : v)) },
        ],
        series: [
          { label: "value", value: (u, v) => (v === null ? "" : number(v)) },
          {
            label: "count",
            fill: colours,
            stroke: colours,
            paths: uPlot.paths.bars({ size: [0.95, 100] }),
            points: { show: false },
          },
        ],
      },
      [values, heights],
      where,
    ),
  );
}

// ------------------------------------------------------------------------------------------------------- a feature

function statistics(f) {
  const { positions, excluded, active, max, mean, meanActive, std, skew, kurtosis } = f.statistics;
  const rows = [
    ["density", percent(active / positions)],
    ["active positions", active.toLocaleString("en")],
    ["of", positions.toLocaleString("en")],
  ];
  if (excluded) rows.push(["excluded", excluded.toLocaleString("en")]);
  if (active)
    rows.push(
      ["maximum", number(max)],
      ["mean where active", number(meanActive)],
      ["mean", number(mean, 4)],
      ["standard deviation", number(std, 4)],
      ["skewness", number(skew, 1)],
      ["kurtosis", number(kurtosis, 1)],
    );
  return table("Activations", [], rows);
}

function tables(f) {
  const link = index =>
    data.features[index] ? element("a", { href: "#feature=" + index }, String(index)) : String(index);
  const { neuronAlignment, correlatedNeurons, correlatedFeatures } = f.tables;
  return element(
    "section",
    { "aria-label": "Tables" },
    statistics(f),
    table(
      "Neuron alignment",
      ["neuron", "value", "% of L1"],
      neuronAlignment.map(e => [String(e.index), signed(e.value), percent(e.share, 1)]),
    ),
    table(
      "Correlated neurons",
      ["neuron", "Pearson", "cosine"],
      correlatedNeurons.map(e => [String(e.index), signed(e.pearson), signed(e.cosine)]),
    ),
    table(
      "Correlated features",
      ["feature", "Pearson", "cosine"],
      correlatedFeatures.map(e => [link(e.index), signed(e.pearson), signed(e.cosine)]),
    ),
  );
}

function logitTable(caption, { tokens, logits }, colour) {
  const largest = Math.max(...logits.map(Math.abs), 1e-9);
  return table(
    caption,
    ["token", "logit"],
    tokens.map((id, i) => [
      token(id, { style: { background: `rgba(${colour}, ${((0.75 * Math.abs(logits[i])) / largest).toFixed(3)})` } }),
      signed(logits[i], 2),
    ]),
  );
}

const where = (s, position) =>
  s.row < 0 ? `position ${position} of the prompt` : `row ${s.row}, position ${position}`;
const lossOf = s => s.loss || s.lens || [];
function sequence(s, largest, largestLoss) {
  const line = element("div", { class: "sequence", tabindex: "0", role: "listitem" });
  const bold = s.position - s.first;
  s.tokens.forEach((id, i) => {
    const part = element(
      i === bold ? "b" : "span",
      {
        style: {
          background: heat(s.activations[i] / largest),
          borderBottomColor: underline(lossOf(s)[i], largestLoss),
        },
      },
      shown(id),
    );
    part.addEventListener("mouseenter", () => tip(part, s, i));
    part.addEventListener("mouseleave", hideTip);
    line.append(part);
  });
  line.setAttribute(
    "aria-label",
    s.tokens.map(shown).join("") +
      `; activation ${number(s.activations[bold])} at ${shown(s.tokens[bold])}, ${where(s, s.position)}`,
  );
  line.addEventListener("focus", () => tip(line.children[bold], s, bold));
  line.addEventListener("blur", hideTip);
  return line;
}

function tip(place, s, i) {
  const rows = [["activation", number(s.activations[i], 4)]];
  if (s.logits) rows.push(["logit of this token", signed(s.logits[i])]);
  if (s.loss) rows.push(["loss effect", signed(s.loss[i], 4)]);
  if (s.lens) rows.push([s.loss ? "of which direct" : "loss effect, by the lens", signed(s.lens[i], 4)]);
  const box = $("tip"),
    character = whole(s.tokens, i);
  box.replaceChildren(
    token(s.tokens[i]),
    element("small", {}, " " + where(s, s.first + i)),
    ...(character === null
      ? []
      : [element("div", {}, "part of ", element("span", { class: "token" }, visible(character)))]),
    table("", [], rows),
  );
  if (s.raised && (s.raised[i].tokens.length || s.lowered[i].tokens.length)) {
    const list = ({ tokens, values }) =>
      tokens.map((id, k) => element("div", {}, token(id), " " + signed(values[k], 4)));
    box.append(
      element("div", {}, element("small", {}, "log-probabilities before this token that it changes most")),
      element(
        "div",
        { class: "logits" },
        element("div", {}, ...list(s.raised[i])),
        element("div", {}, ...list(s.lowered[i])),
      ),
    );
  }
  box.hidden = false;
  const there = place.getBoundingClientRect(),
    size = box.getBoundingClientRect();
  box.style.left = Math.max(4, Math.min(there.left, innerWidth - size.width - 4)) + "px";
  box.style.top =
    (there.bottom + size.height + 8 < innerHeight ? there.bottom + 6 : Math.max(4, there.top - size.height - 6)) + "px";
}
function hideTip() {
  $("tip").hidden = true;
}

let current = null;
async function show(feature) {
  const f = await unpack(data.features[feature]);
  current = feature;
  hideTip();
  while (plots.length) plots.pop().destroy();
  const article = $("feature"),
    at = shownOrder.indexOf(feature);
  const step = (text, to, key) => {
    const b = element("button", { type: "button", "aria-keyshortcuts": key }, text);
    b.disabled = to === undefined;
    b.addEventListener("click", () => go(to));
    return b;
  };
  const bar = element(
    "div",
    { class: "bar" },
    element("h2", {}, "Feature " + feature),
    step("← previous", shownOrder[at - 1], "k"),
    step("next →", shownOrder[at + 1], "j"),
    element("a", { href: "#feature=" + feature }, "link"),
  );
  if (about.neuronpedia)
    bar.append(element("a", { href: about.neuronpedia + feature, rel: "noreferrer" }, "Neuronpedia"));
  const middle = element("section", { "aria-label": "Histograms and logits" }),
    right = element("section", { class: "sequences", "aria-label": "Sequences" });
  article.replaceChildren(bar, element("div", { class: "columns" }, tables(f), middle, right));
  const { active, positions } = f.statistics;
  if (active) {
    middle.append(element("h3", {}, "Activations, density = " + percent(active / positions)));
    const place = element("div", { class: "plot" });
    middle.append(place);
    histogram(place, f.activations, "Histogram of activations", "#ff8c00");
  } else
    middle.append(
      element(
        "p",
        { class: "dead" },
        "Dead: this feature does not fire at any of the " + positions.toLocaleString("en") + " positions.",
      ),
    );
  if (f.logitsTable) {
    const { top, bottom } = f.logitsTable;
    middle.append(
      element(
        "div",
        { class: "logits" },
        logitTable("Negative logits", bottom, "220, 40, 40"),
        logitTable("Positive logits", top, "40, 110, 230"),
      ),
    );
    middle.append(element("h3", {}, "Logits of all tokens"));
    const place = element("div", { class: "plot" });
    middle.append(place);
    histogram(place, f.logits, "Histogram of logits", dark() ? "#79b8ff" : "#3f7fd6");
  } else
    middle.append(
      element("p", { class: "dead" }, "This feature does not write to the residual stream: it has no logits."),
    );
  const all = f.groups.flatMap(g => g.sequences),
    largest = Math.max(1e-9, ...all.flatMap(s => s.activations)),
    largestLoss = Math.max(0, ...all.flatMap(s => lossOf(s).map(Math.abs)));
  for (const group of f.groups) {
    right.append(element("h3", { class: "group" }, group.title));
    if (group.sequences.length)
      right.append(element("div", { role: "list" }, ...group.sequences.map(s => sequence(s, largest, largestLoss))));
    else right.append(element("p", { class: "dead" }, "No position of this interval has enough tokens around it."));
  }
  if (!f.groups.length)
    right.append(element("p", { class: "dead" }, active ? "No sequences." : "No sequences: the feature is dead."));
  mark();
  document.documentElement.dataset.shown = feature;
  performance.mark("shown");
}

// ------------------------------------------------------------------------------------------------------ the prompt

const measures = {
  act_size: { text: value => number(value), hint: "how active features are at this token" },
  act_quantile: {
    text: value => percent(value, value < 0.95 ? 1 : value < 0.99 ? 2 : 3),
    hint: "at which quantile of their activations over all rows features are at this token",
  },
  loss_effect: {
    text: value => signed(value),
    hint: "how features at the token before change this token's loss: negative where they help",
  },
};
const cardPlots = [];
let asked = 0;
async function showToken(position) {
  const { tokens, metrics, sequences } = about.prompt,
    metric = $("metric").value,
    mine = ++asked,
    top = metrics[metric][position];
  const exact = Object.values(sequences).some(s => s.loss);
  $("metric-hint").textContent =
    measures[metric].hint +
    (metric !== "loss_effect"
      ? ""
      : exact
        ? "; exact"
        : Object.values(sequences).some(s => s.lens)
          ? "; by the linear lens"
          : "");
  [...$("prompt-tokens").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === position)));
  const found = await Promise.all(top.map(({ feature }) => unpack(data.features[feature])));
  if (mine !== asked) return; // another token was chosen meanwhile
  hideTip();
  while (cardPlots.length) cardPlots.pop().destroy();
  $("cards").replaceChildren();
  if (!top.length)
    $("cards").append(
      element(
        "p",
        { class: "dead" },
        !about.prompt.active
          ? "No feature of the SAE is active at this prompt."
          : metric !== "loss_effect"
            ? "No feature of this page is active here."
            : position === 0
              ? "Nothing predicts the first token."
              : Object.values(sequences).some(s => s.loss || s.lens)
                ? "No feature of this page is active at the token before."
                : "For this SAE loss effects are known by ablation alone (--ablation).",
      ),
    );
  top.forEach(({ feature, value }, i) => {
    const f = found[i],
      own = { ...sequences[feature], position },
      largest = Math.max(
        1e-9,
        ...own.activations,
        ...f.groups
          .slice(0, 1)
          .flatMap(g => g.sequences)
          .flatMap(s => s.activations),
      );
    const plot = element("div", { class: "plot" }),
      card = element(
        "section",
        { class: "card", "aria-label": "Feature " + feature },
        element(
          "h3",
          {},
          element("a", { href: "#feature=" + feature }, "Feature " + feature),
          element("span", { class: "value" }, measures[metric].text(value)),
        ),
        element("div", { role: "list" }, sequence(own, largest, Math.max(0, ...lossOf(own).map(Math.abs)))),
      );
    $("cards").append(card);
    if (f.statistics.active) {
      card.append(
        element("h3", {}, "Activations, density = " + percent(f.statistics.active / f.statistics.positions)),
        plot,
      );
      histogram(plot, f.activations, "Histogram of activations", "#ff8c00", cardPlots);
    } else card.append(element("p", { class: "dead" }, "It does not fire in the rows."));
    if (f.logitsTable) {
      const first = ({ tokens, logits }) => ({ tokens: tokens.slice(0, 5), logits: logits.slice(0, 5) });
      card.append(
        element(
          "div",
          { class: "logits" },
          logitTable("Negative logits", first(f.logitsTable.bottom), "220, 40, 40"),
          logitTable("Positive logits", first(f.logitsTable.top), "40, 110, 230"),
        ),
      );
    }
    if (f.groups.length)
      card.append(
        element("h3", {}, "Top activations"),
        element(
          "div",
          { role: "list" },
          ...f.groups[0].sequences.slice(0, 10).map(s => sequence(s, largest, Math.max(0, ...lossOf(s).map(Math.abs)))),
        ),
      );
  });
  document.documentElement.dataset.prompt = metric + " " + position;
}

function startPrompt() {
  const { tokens } = about.prompt;
  let position = tokens.length - 1;
  tokens.forEach((id, i) => {
    const button = element("button", { type: "button", title: "position " + i }, shown(id));
    button.addEventListener("click", () => {
      position = i;
      showToken(i);
    });
    $("prompt-tokens").append(button);
  });
  $("metric").addEventListener("input", () => showToken(position));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showToken(position));
  $("prompt").hidden = false;
  showToken(position);
}

// -------------------------------------------------------------------------------------------------------- the list

let about,
  entries,
  shownOrder = [],
  listed = 0;

function matches(entry, words) {
  if (!words) return true;
  if (/^\d+$/.test(words)) return String(entry.feature).startsWith(words) || entry.text.includes(words);
  return entry.text.includes(words);
}

function filter() {
  const words = $("search").value.trim().toLowerCase(),
    least = Number($("least").value || 0) / 100,
    most = $("most").value === "" ? 1 : Number($("most").value) / 100,
    dead = $("dead").checked;
  const order = {
    number: (a, b) => a.feature - b.feature,
    density: (a, b) => b.density - a.density || a.feature - b.feature,
    rare: (a, b) => a.density - b.density || a.feature - b.feature,
    max: (a, b) => b.max - a.max || a.feature - b.feature,
  }[$("sort").value];
  const found = entries
    .filter(e => matches(e, words) && e.density >= least && e.density <= most && (dead || e.density > 0))
    .sort(order);
  shownOrder = found.map(e => e.feature);
  $("count").textContent = `${found.length.toLocaleString("en")} of ${entries.length.toLocaleString("en")} features`;
  listed = 0;
  $("list").replaceChildren();
  more();
  if (current !== null) mark();
}

function more() {
  const next = shownOrder.slice(listed, listed + PAGE).map(feature => {
    const entry = byFeature.get(feature);
    const item = element(
      "li",
      {},
      element(
        "a",
        { href: "#feature=" + feature },
        String(feature) + " ",
        element("small", {}, entry.density ? percent(entry.density, 2) + " " + entry.label : "dead"),
      ),
    );
    return item;
  });
  $("list").append(...next);
  listed += next.length;
  $("more").hidden = listed >= shownOrder.length;
}

function mark() {
  for (const link of document.querySelectorAll("nav a[aria-current]")) link.removeAttribute("aria-current");
  const link = document.querySelector(`nav a[href="#feature=${current}"]`);
  if (!link) return;
  link.setAttribute("aria-current", "true");
  link.scrollIntoView({ block: "nearest" });
}

const go = feature => {
  if (feature !== undefined) location.hash = "feature=" + feature;
};
function fromAddress() {
  const wanted = Number((location.hash.match(/feature=(\d+)/) || [])[1]);
  show(byFeature.has(wanted) ? wanted : shownOrder.length ? shownOrder[0] : entries[0].feature);
}

const byFeature = new Map();
(async () => {
  about = await unpack(data.about);
  vocabulary = about.vocabulary;
  for (const [name, value] of Object.entries(about.facts))
    $("facts")
      .querySelector("dl")
      .append(element("dt", {}, name), element("dd", {}, value));
  entries = about.index.map(({ feature, density, max, strongest, promoted }) => ({
    feature,
    density,
    max,
    label: strongest.map(shown).join(" "),
    text: [...strongest, ...promoted]
      .map(id => (hex(id) === null ? vocabulary[id] : ""))
      .join("\n")
      .toLowerCase(),
  }));
  for (const entry of entries) byFeature.set(entry.feature, entry);
  for (const id of ["search", "sort", "least", "most", "dead"]) $(id).addEventListener("input", filter);
  $("controls").addEventListener("submit", event => event.preventDefault());
  $("search").addEventListener("keydown", event => {
    if (event.key === "Enter") go(shownOrder[0]);
  });
  $("more").addEventListener("click", more);
  addEventListener("hashchange", fromAddress);
  // In a frame whose text is an attribute, as in a notebook, links within the page would lead to the outer page.
  if (location.protocol === "about:")
    addEventListener("click", event => {
      const link = event.target.closest('a[href^="#"]');
      if (!link) return;
      event.preventDefault();
      location.hash = link.getAttribute("href");
    });
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const at = shownOrder.indexOf(current);
    if (event.key === "j") go(shownOrder[at + 1]);
    else if (event.key === "k") go(shownOrder[at - 1]);
    else if (event.key === "/") {
      event.preventDefault();
      $("search").focus();
    } else if (event.key === "Escape") hideTip();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => current !== null && show(current));
  addEventListener("scroll", hideTip, { passive: true });
  filter();
  if (about.prompt) startPrompt();
  if (entries.length) fromAddress();
})();
