// How common each class is: a slider and a number for each, which add up to 1.

const DIGITS = 3;

export class Prevalence {
  /** prior: of the training, where it starts; changed: called with {class: share}, or null for it.
      elements: shares, reset, text, error. */
  constructor(classes, prior, elements, changed) {
    Object.assign(this, { classes, prior, elements, changed });
    if (!prior) {
      elements.text.textContent = "This network does not say how common the classes were in its"
        + " training, so that its probabilities cannot be moved to another population.";
      return;
    }
    this.inputs = classes.map((name, k) => this.row(name, k));
    elements.reset.addEventListener("click", () => this.set(null));
    this.put(prior.map(round));
  }

  row(name, k) {
    const label = document.createElement("label");
    label.className = "share";
    const text = document.createElement("span");
    text.textContent = name;
    const make = (type, what) => {
      const input = document.createElement("input");
      Object.assign(input, { type, min: "0", max: "1", step: String(10 ** -DIGITS) });
      input.setAttribute("aria-label", `${what} of ${name}`);
      return input;
    };
    const number = make("number", "Prevalence");
    const slider = make("range", "Prevalence, slider,");
    label.append(text, number, slider);
    this.elements.shares.append(label);
    slider.addEventListener("input", () => this.set(others(this.shares(), k, Number(slider.value))));
    number.addEventListener("input", () => this.set(this.shares())); // the others stay as typed
    return { number, slider };
  }

  shares() {
    return this.inputs.map(({ number }) => Number(number.value));
  }

  put(shares) {
    this.inputs.forEach(({ number, slider }, k) => {
      if (number !== document.activeElement) number.value = shares[k]; // not while it is typed
      slider.value = shares[k];
    });
  }

  set(shares) {
    this.put(shares ?? this.prior.map(round));
    this.elements.reset.disabled = !shares;
    const sum = (shares ?? []).reduce((all, each) => all + each, 0);
    const fits = !shares || Math.abs(sum - 1) <= 0.01;
    this.elements.error.textContent = fits ? "" : `adds up to ${round(sum)}; expected 1`;
    if (!fits) return; // while numbers are typed
    this.changed(shares && Object.fromEntries(this.classes.map((name, k) => [name, shares[k]])));
  }
}

const round = (share) => Number(share.toFixed(DIGITS));

/** Class k gets a share, and what is left is divided among the others as before. */
function others(shares, k, share) {
  const rest = shares.reduce((sum, each, j) => (j === k ? sum : sum + each), 0);
  const equal = (1 - share) / (shares.length - 1);
  return shares.map((each, j) => {
    if (j === k) return share;
    return round(rest > 0 ? (each / rest) * (1 - share) : equal);
  });
}
