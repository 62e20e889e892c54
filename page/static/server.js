// What the page asks of its own server. Each answer that is not 2xx is an Error with its reason.

export const network = () => asked("network").then((answer) => answer.json());

/** {row, logits, heat}; a row that is null: of a folder, and not an image. coverage: of the set in
    the row; null for none. */
export function look(item, coverage) {
  const query = new URLSearchParams({
    name: item.name, ...(item.folder && { folder: "" }), ...(coverage !== null && { coverage }),
  });
  return posted(`look?${query}`, item.file).then((answer) => answer.json());
}

/** {bitmap, part}: the film in its full size, and [left, top, right, bottom] of its heat map. */
export async function film(file) {
  const answer = await posted("film", file);
  const part = answer.headers.get("Film-Part").split(",").map(Number);
  return { bitmap: await createImageBitmap(await answer.blob()), part };
}

/** The rows of the items for a population {class: share}, or null, and a coverage, or null; as
    objects, or a CSV text. */
export async function rows(items, prevalence, coverage, format) {
  const body = {
    rows: items.map((item) => item.row), logits: items.map((item) => item.logits),
    prevalence, coverage, format,
  };
  const answer = await posted("rows", JSON.stringify(body));
  return format === "csv" ? answer.text() : answer.json();
}

function posted(path, body) {
  return asked(path, { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } });
}

async function asked(path, options) {
  for (;;) {
    const answer = await fetch(path, options).catch(() => {
      throw new Error("the program behind this page does not answer; was it stopped?");
    });
    if (answer.ok) return answer;
    if (answer.status !== 503) throw new Error(await reason(answer));
    await new Promise((go) => setTimeout(go, 1000)); // others are before us
  }
}

async function reason(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return `the program behind this page failed (${answer.status}); its window says why`;
  }
}
