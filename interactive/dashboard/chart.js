// Curves over steps on a canvas, with the interventions marked and a tooltip.

const PAD = { left: 58, right: 12, top: 10, bottom: 24 };

export function number(value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace(/\.?0+e/, "e");
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.curves = new Map();
    this.current = "";
    this.markers = [];
    this.log = false;
    this.hover = null;
    this.tip = canvas.parentElement.appendChild(document.createElement("div"));
    this.tip.className = "tip";
    this.tip.hidden = true;
    const point = (event) => this.point(event.offsetX);
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  set(branch, steps, values) {
    this.curves.set(branch, { steps, values });
    this.draw();
  }

  add(branch, step, value) {
    if (!this.curves.has(branch)) this.curves.set(branch, { steps: [], values: [] });
    const curve = this.curves.get(branch);
    curve.steps.push(step);
    curve.values.push(value);
    return curve.steps.length;
  }

  draw() {
    this.due ??= requestAnimationFrame(() => { this.due = null; this.paint(); });
  }

  shows(value) {
    return Number.isFinite(value) && (!this.log || value > 0);
  }

  scale() {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { steps, values } of this.curves.values()) {
      if (!steps.length) continue;
      x0 = Math.min(x0, steps[0]);
      x1 = Math.max(x1, steps[steps.length - 1]);
      for (const value of values) {
        if (!this.shows(value)) continue;
        y0 = Math.min(y0, value);
        y1 = Math.max(y1, value);
      }
    }
    if (x0 > x1) return null;
    if (y0 > y1) [y0, y1] = [this.log ? 0.1 : 0, 1];
    const up = this.log ? Math.log10 : (value) => value;
    let [low, high] = [up(y0), up(y1)];
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.1;
    [low, high] = [low - room, high + room];
    const { width, height } = this.canvas.getBoundingClientRect();
    const span = Math.max(1, x1 - x0);
    const x = (step) => PAD.left + ((step - x0) / span) * (width - PAD.left - PAD.right);
    const y = (value) => height - PAD.bottom - ((up(value) - low) / (high - low)) * (height - PAD.top - PAD.bottom);
    return { x, y, x0, x1, low, high, width, height };
  }

  paint() {
    const ratio = devicePixelRatio || 1;
    const s = this.scale();
    const box = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    const g = this.canvas.getContext("2d");
    g.scale(ratio, ratio);
    g.font = "11px system-ui, sans-serif";
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    if (!s) {
      g.fillStyle = color("quiet");
      g.fillText("no step yet", PAD.left, box.height / 2);
      return;
    }
    this.axes(g, s, color);
    for (const marker of this.markers) {
      if (marker.branch !== this.current || marker.step < s.x0 || marker.step > s.x1) continue;
      const at = Math.round(s.x(marker.step)) + 0.5;
      line(g, color("mark"), 1, [[at, PAD.top], [at, s.height - PAD.bottom]], [3, 3]);
      g.fillStyle = color("mark");
      g.beginPath();
      g.moveTo(at - 4, PAD.top - 6); g.lineTo(at + 4, PAD.top - 6); g.lineTo(at, PAD.top + 1);
      g.fill();
    }
    for (const [branch, curve] of this.curves) if (branch !== this.current) this.curve(g, s, curve, color("old"), color("bad"));
    const current = this.curves.get(this.current);
    if (current) this.curve(g, s, current, color("accent"), color("bad"));
    if (this.hover !== null) {
      const at = Math.round(s.x(this.hover)) + 0.5;
      line(g, color("quiet"), 1, [[at, PAD.top], [at, s.height - PAD.bottom]]);
    }
  }

  axes(g, s, color) {
    g.textBaseline = "middle";
    for (const value of this.ticks(s)) {
      const at = Math.round(s.y(value)) + 0.5;
      line(g, color("line"), 1, [[PAD.left, at], [s.width - PAD.right, at]]);
      g.fillStyle = color("quiet");
      g.textAlign = "right";
      g.fillText(number(value), PAD.left - 6, at);
    }
    const steps = nice(s.x0, s.x1, Math.max(3, Math.floor(s.width / 110))).filter(Number.isInteger);
    for (const step of steps) {
      g.textAlign = s.x(step) > s.width - 40 ? "right" : "center";
      g.fillText(number(step), s.x(step), s.height - 10);
    }
  }

  ticks(s) {
    const count = Math.max(2, Math.floor(s.height / 42));
    if (!this.log) return nice(s.low, s.high, count);
    const all = [];
    const mantissas = s.high - s.low > 2 ? [1] : [1, 2, 5];
    for (let e = Math.floor(s.low); e <= s.high; e++) for (const m of mantissas) all.push(m * 10 ** e);
    const inside = all.filter((v) => Math.log10(v) >= s.low && Math.log10(v) <= s.high);
    return inside.length >= 2 ? inside : nice(10 ** s.low, 10 ** s.high, count);
  }

  curve(g, s, { steps, values }, stroke, bad) {
    let piece = [];
    const flush = () => { line(g, stroke, 1.4, piece); piece = []; };
    values.forEach((value, i) => {
      if (this.shows(value)) { piece.push([s.x(steps[i]), s.y(value)]); return; }
      flush(); // a gap, and a red tick at the bottom: a NaN must be seen
      line(g, bad, 2, [[s.x(steps[i]), s.height - PAD.bottom - 8], [s.x(steps[i]), s.height - PAD.bottom]]);
    });
    flush();
  }

  point(offset) {
    const s = offset === null ? null : this.scale();
    const curve = this.curves.get(this.current);
    this.tip.hidden = !s || !curve?.steps.length;
    this.hover = null;
    this.draw();
    if (this.tip.hidden) return;
    const near = (steps) => steps.reduce((best, step, i) => (Math.abs(s.x(step) - offset) < Math.abs(s.x(steps[best]) - offset) ? i : best), 0);
    const i = near(curve.steps);
    this.hover = curve.steps[i];
    const close = this.markers.filter((m) => m.branch === this.current && Math.abs(s.x(m.step) - offset) < 7);
    const lines = close.slice(-3).map((m) => `▾ ${m.text}`);
    this.tip.textContent = [`step ${number(curve.steps[i])}: ${number(curve.values[i])}`, ...lines].join("\n");
    const left = Math.min(Math.max(0, s.x(this.hover) + 10), Math.max(0, s.width - this.tip.offsetWidth - 4));
    this.tip.style.transform = `translate(${left}px, ${PAD.top}px)`;
  }
}

function line(g, stroke, width, points, dash = []) {
  if (!points.length) return;
  g.strokeStyle = stroke;
  g.lineWidth = width;
  g.lineJoin = "round";
  g.setLineDash(dash);
  g.beginPath();
  points.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
  if (points.length === 1) g.lineTo(points[0][0] + 1, points[0][1]);
  g.stroke();
}

function nice(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 2.5, 5, 10].map((m) => m * power).find((candidate) => candidate >= raw);
  const ticks = [];
  for (let n = Math.ceil(low / size); n * size <= high; n++) ticks.push(Number((n * size).toPrecision(12)));
  return ticks;
}
