// The probabilities of a film, as numbers and bars, and what they mean in words.

export const chance = (value) => value.toFixed(3);

/** Terms and their bars, for a <dl>; row: of the script. */
export function bars(classes, row) {
  return classes.flatMap((name) => bar(name, row.probabilities[name], row.set?.includes(name)));
}

function bar(name, value, inSet) {
  const term = document.createElement("dt");
  term.textContent = name;
  if (inSet) term.append(" ", part("in-set", "in the set"));
  const number = document.createElement("dd");
  number.textContent = chance(value);
  const drawn = document.createElement("dd");
  drawn.className = "bar";
  drawn.setAttribute("aria-hidden", "true");
  const fill = document.createElement("span");
  fill.style.width = `${100 * value}%`;
  drawn.append(fill);
  return [term, number, drawn];
}

export function part(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}

/** What the probability of the named class says; prevalence: {class: share}, or null as in training. */
export function meaning(network, row, prevalence) {
  const value = row.probabilities[row.label];
  const of100 = Math.round(100 * value);
  const share = of100 > 99 ? "nearly all" : `about ${of100}`;
  if (!network.calibrated) {
    return "The probabilities of this network are not calibrated, which is done at the end of a training."
      + " They say which class is likeliest, and not how many of 100 such films have it.";
  }
  if (!network.prior) {
    return `If the network is calibrated, of 100 films like those of its training that get ${chance(value)}`
      + ` for ${row.label}, ${share} are of that class.`;
  }
  const shares = prevalence ?? Object.fromEntries(network.classes.map((name, k) => [name, network.prior[k]]));
  const mixture = Object.entries(shares).map(([name, each]) => `${name} ${Number((100 * each).toFixed(1))} %`);
  return `Of 100 films like those of its training that get ${chance(value)} for ${row.label}, ${share} are of`
    + ` that class, where the classes are as common as ${prevalence ? "set below" : "in training"}`
    + ` (${mixture.join(", ")}).`;
}

/** logits: as the network gives them, whose highest the map is of; a prevalence moves the class, and not the map. */
export function mapMeaning(classes, logits) {
  const mapped = classes[logits.indexOf(Math.max(...logits))];
  return `The heat map shows what spoke for ${mapped}, most where it is yellow. It tells where in this film,`
    + " and not how much or why.";
}
