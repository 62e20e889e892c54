// Prediction sets: in what share of new patients they shall hold the true class, and their words.

const LEAST = 0.5;
const MOST = 0.99;

export class Coverage {
  /** start: null of a network without sets; changed: called with a share. elements: text, number,
      slider, error. */
  constructor(start, elements, changed) {
    Object.assign(this, { elements, changed });
    const { text, number, slider } = elements;
    number.disabled = slider.disabled = start === null;
    if (start === null) {
      text.textContent = "This network does not say on which films its prediction sets could be"
        + " calibrated: it was trained or exported by an earlier version.";
      return;
    }
    for (const input of [number, slider]) {
      Object.assign(input, { min: LEAST, max: MOST, step: 0.01, value: start });
      input.addEventListener("input", () => this.set(input));
    }
  }

  set(input) {
    const share = Number(input.value);
    const fits = share >= LEAST && share <= MOST;
    this.elements.error.textContent = fits ? "" : `found ${input.value || "nothing"}; expected ${LEAST} to ${MOST}`;
    if (!fits) return; // while a number is typed
    for (const other of [this.elements.number, this.elements.slider]) {
      if (other !== input) other.value = share;
    }
    this.changed(share);
  }
}

/** What a row says of its set. */
export function setMeaning(row, coverage) {
  const note = row.set_note ? ` (${row.set_note})` : "";
  const percent = Number((100 * coverage).toFixed(1));
  return `Prediction set: ${row.set.join(", ") || "no class"}${note}. Of new patients of each class, like`
    + ` those of its training, ${percent} % have their class in the set. For patients of another`
    + " hospital nothing is promised.";
}
