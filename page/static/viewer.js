// The film under its heat map: zoom, pan, window and level, by mouse, touch and keyboard.

const CELL = 24; // pixels of the drawn heat map for each of its cells
const MOST = 16; // screen pixels for each pixel of the film

export class Viewer {
  /** palette: 256 x [red, green, blue]; changed: called after each change of the view. */
  constructor(stage, canvas, palette, changed) {
    Object.assign(this, { stage, canvas, palette, changed });
    this.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.film = null;
    this.opacity = 0;
    this.reset();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(stage);
  }

  /** film: {bitmap, part}, or null; heat: rows of cells, not negative. */
  show(film, heat) {
    this.film = film;
    this.heat = film && heatPicture(heat, this.palette);
    this.fit();
  }

  reset() {
    this.window = 255;
    this.level = 127.5;
    this.fit();
  }

  fit() {
    this.fitted = true;
    this.scale = this.smallest();
    if (this.film) this.centre = [this.film.bitmap.width / 2, this.film.bitmap.height / 2];
    this.draw();
  }

  smallest() {
    if (!this.film) return 1;
    const { width, height } = this.film.bitmap;
    return Math.min(this.canvas.width / width, this.canvas.height / height);
  }

  /** To a scale in screen pixels for a pixel of the film, so that the point (x, y) stays put. */
  zoomTo(scale, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.film) return;
    const least = Math.min(this.smallest(), 1);
    const next = Math.min(Math.max(scale, least), Math.max(MOST, least));
    const [dx, dy] = [x - this.canvas.width / 2, y - this.canvas.height / 2];
    this.centre[0] += dx / this.scale - dx / next;
    this.centre[1] += dy / this.scale - dy / next;
    this.scale = next;
    this.fitted = false;
    this.move(0, 0);
  }

  zoomBy(factor, x, y) {
    this.zoomTo(this.scale * factor, x, y);
  }

  /** By screen pixels; the middle of the view stays on the film. */
  move(dx, dy) {
    if (!this.film) return;
    const { width, height } = this.film.bitmap;
    this.centre[0] = Math.min(Math.max(this.centre[0] - dx / this.scale, 0), width);
    this.centre[1] = Math.min(Math.max(this.centre[1] - dy / this.scale, 0), height);
    if (dx || dy) this.fitted = false;
    this.draw();
  }

  setWindow(window, level) {
    this.window = Math.min(Math.max(window, 2), 510);
    this.level = Math.min(Math.max(level, 0), 255);
    this.draw();
  }

  setOpacity(opacity) {
    this.opacity = opacity;
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.stage.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.stage.clientHeight * ratio));
    if (this.fitted) this.fit();
    else this.draw();
  }

  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this.paint();
      this.changed(this);
    });
  }

  paint() {
    const { context, canvas, film } = this;
    context.fillStyle = "black";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!film) return;
    const { width, height } = film.bitmap;
    const place = (x, y) => [
      canvas.width / 2 + (x - this.centre[0]) * this.scale,
      canvas.height / 2 + (y - this.centre[1]) * this.scale,
    ];
    const [left, top] = place(0, 0);
    const [right, bottom] = place(width, height);
    context.imageSmoothingEnabled = this.scale < 4; // larger, its pixels are seen as they are
    context.imageSmoothingQuality = "high";
    context.drawImage(film.bitmap, left, top, right - left, bottom - top);
    this.applyWindow(left, top, right, bottom);
    if (this.opacity > 0) {
      const [x, y, x2, y2] = film.part;
      const [from, to] = [place(x, y), place(x2, y2)];
      context.save();
      context.beginPath();
      context.rect(left, top, right - left, bottom - top); // a part may go beyond the film
      context.clip();
      context.globalAlpha = this.opacity;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.heat, from[0], from[1], to[0] - from[0], to[1] - from[1]);
      context.restore();
    }
  }

  /** Grays of level - window / 2 and below become black, of level + window / 2 and above white. */
  applyWindow(left, top, right, bottom) {
    if (this.window === 255 && this.level === 127.5) return;
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const wide = Math.min(this.canvas.width, Math.ceil(right)) - x;
    const high = Math.min(this.canvas.height, Math.ceil(bottom)) - y;
    if (wide <= 0 || high <= 0) return;
    const table = Uint8ClampedArray.from({ length: 256 }, (_, gray) =>
      ((gray - this.level) / this.window + 0.5) * 255);
    const pixels = this.context.getImageData(x, y, wide, high);
    const words = new Uint32Array(pixels.data.buffer);
    for (let k = 0; k < words.length; k++) {
      words[k] = 0xff000000 | (table[words[k] & 0xff] * 0x010101);
    }
    this.context.putImageData(pixels, x, y);
  }

  listen() {
    const { stage } = this;
    const ratio = () => window.devicePixelRatio || 1;
    const pointers = new Map();
    let windowing = false;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), event.offsetX * ratio(), event.offsetY * ratio());
    }, { passive: false });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", (event) => {
      if (this.fitted) this.zoomTo(1, event.offsetX * ratio(), event.offsetY * ratio());
      else this.fit();
    });
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      windowing = event.button === 2 || event.shiftKey;
      stage.classList.add("moving");
    });
    stage.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = [event.offsetX, event.offsetY];
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (other) { // two fingers
        const factor = distance(now, other) / Math.max(1, distance(before, other));
        const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
        this.zoomBy(factor, middle[0] * ratio(), middle[1] * ratio());
        this.move((dx / 2) * ratio(), (dy / 2) * ratio());
      } else if (windowing) {
        this.setWindow(this.window + dx, this.level + dy / 2);
      } else {
        this.move(dx * ratio(), dy * ratio());
      }
      pointers.set(event.pointerId, now);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => {
        pointers.delete(event.pointerId);
        if (!pointers.size) stage.classList.remove("moving");
      });
    }
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = 60 * ratio();
      const keys = {
        "+": () => this.zoomBy(1.25), "=": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8),
        0: () => this.fit(), 1: () => this.zoomTo(1),
        ArrowLeft: () => this.move(step, 0), ArrowRight: () => this.move(-step, 0),
        ArrowUp: () => this.move(0, step), ArrowDown: () => this.move(0, -step),
      };
      if (!Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}

const distance = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);

/** Heat -> its colours, the hotter the less transparent, as in the pictures of --explain. */
function heatPicture(heat, palette) {
  const [high, wide] = [heat.length, heat[0].length];
  const most = Math.max(...heat.flat());
  const canvas = new OffscreenCanvas(wide * CELL, high * CELL);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  const near = (k, of) => { // the two cells around the middle of pixel k, and how far it is between
    const at = Math.min(Math.max((k + 0.5) / CELL - 0.5, 0), of - 1);
    const first = Math.floor(at);
    return [first, Math.min(first + 1, of - 1), at - first];
  };
  for (let y = 0; y < canvas.height; y++) {
    const [above, below, down] = near(y, high);
    for (let x = 0; x < canvas.width; x++) {
      const [left, right, along] = near(x, wide);
      const upper = heat[above][left] * (1 - along) + heat[above][right] * along;
      const lower = heat[below][left] * (1 - along) + heat[below][right] * along;
      const share = most > 0 ? (upper * (1 - down) + lower * down) / most : 0;
      const level = Math.round(255 * share);
      pixels.data.set([...palette[level], level], 4 * (y * canvas.width + x));
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}
