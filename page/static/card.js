// The card of the network: sections of sentences and a table, see util/report/card.py.

/** {title, text, head, rows} -> an element. */
export function section({ title, text, head, rows }) {
  const parts = [element("h3", title), ...text.map((sentence) => element("p", sentence))];
  if (rows.length) parts.push(scrolling(table(title, head, rows)));
  const drawn = document.createElement("section");
  drawn.append(...parts);
  return drawn;
}

/** On a phone a table of many columns is wider than the card. */
function scrolling(drawn) {
  const wide = document.createElement("div");
  wide.className = "wide";
  wide.tabIndex = 0; // so that keys scroll it
  wide.setAttribute("role", "group");
  wide.setAttribute("aria-label", drawn.getAttribute("aria-label"));
  wide.append(drawn);
  return wide;
}

function table(title, head, rows) {
  const drawn = document.createElement("table");
  drawn.setAttribute("aria-label", title);
  if (head.length) drawn.createTHead().append(row(head, "col"));
  drawn.createTBody().append(...rows.map((cells) => row(cells, "row")));
  return drawn;
}

/** scope: col, where all cells are heads, or row, where the first one is. */
function row(cells, scope) {
  const drawn = document.createElement("tr");
  drawn.append(...cells.map((cell, k) => {
    const head = scope === "col" || k === 0;
    const each = element(head ? "th" : "td", cell);
    if (head) each.scope = scope;
    return each;
  }));
  return drawn;
}

function element(kind, text) {
  const drawn = document.createElement(kind);
  drawn.textContent = text;
  return drawn;
}
