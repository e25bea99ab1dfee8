// Draws the operators of a PDF page's content stream on a canvas.

function drawPage({ box: [left, bottom, right, top], operations }, room) {
  const width = right - left;
  const height = top - bottom;
  const scale = Math.min(Math.max(room, 200) / width, 1.5, MAX_SIDE / width, MAX_SIDE / height);
  const density = Math.min(window.devicePixelRatio || 1, 2);
  const canvas = element("canvas", {
    ...PAGE_STYLE,
    width: `${Math.round(width * scale)}px`,
    height: `${Math.round(height * scale)}px`,
  });
  canvas.width = Math.round(width * scale * density);
  canvas.height = Math.round(height * scale * density);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const zoom = scale * density;
  const painter = new Painter(context, [zoom, 0, 0, -zoom, -left * zoom, top * zoom]);
  for (const { operator, operands } of operations) painter.run(operator, operands);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", painter.text.trim() || "A page without text");
  return canvas;
}

// The operators of ISO 32000-1 Annex A that plain text and simple shapes need; others do nothing.
class Painter {
  constructor(context, base) {
    this.context = context;
    this.state = { matrix: base, fill: "#000", stroke: "#000", line: 1, size: 12, leading: 0 };
    this.saved = [];
    this.path = new Path2D();
    this.text = "";
  }

  run(operator, operands) {
    const { state } = this;
    const numbers = operands.filter((operand) => typeof operand === "number");
    switch (operator) {
      case "q":
        if (this.saved.length < 100) this.saved.push({ ...state });
        break;
      case "Q":
        this.state = this.saved.pop() ?? state;
        break;
      case "cm":
        if (numbers.length === 6) state.matrix = multiply(numbers, state.matrix);
        break;
      case "w":
        state.line = numbers[0] ?? 1;
        break;
      case "g":
      case "rg":
      case "k":
      case "sc":
      case "scn":
        state.fill = color(numbers) ?? state.fill;
        break;
      case "G":
      case "RG":
      case "K":
      case "SC":
      case "SCN":
        state.stroke = color(numbers) ?? state.stroke;
        break;
      case "re": {
        const [x, y, width, height] = numbers;
        this.path.rect(x, y, width, height);
        break;
      }
      case "m":
        this.path.moveTo(...numbers);
        break;
      case "l":
        this.path.lineTo(...numbers);
        break;
      case "c":
        if (numbers.length === 6) this.path.bezierCurveTo(...numbers);
        break;
      case "h":
        this.path.closePath();
        break;
      case "f":
      case "F":
      case "f*":
        this.paint({ fill: true, rule: operator === "f*" ? "evenodd" : "nonzero" });
        break;
      case "S":
      case "s":
        this.paint({ stroke: true, close: operator === "s" });
        break;
      case "B":
      case "b":
        this.paint({ fill: true, stroke: true, close: operator === "b" });
        break;
      case "n":
        this.paint({});
        break;
      case "BT":
        this.line = [1, 0, 0, 1, 0, 0];
        this.cursor = this.line;
        break;
      case "Tf":
        state.font = operands[0]?.name;
        state.size = numbers[0] ?? 12;
        break;
      case "TL":
        state.leading = numbers[0] ?? 0;
        break;
      case "Tm":
        if (numbers.length === 6) this.line = this.cursor = numbers;
        break;
      case "TD":
        state.leading = -(numbers[1] ?? 0);
        this.moveLine(...numbers);
        break;
      case "Td":
        this.moveLine(...numbers);
        break;
      case "T*":
        this.moveLine(0, -state.leading);
        break;
      case "'":
      case '"':
        this.moveLine(0, -state.leading);
        this.write([operands.at(-1)]);
        break;
      case "Tj":
        this.write(operands);
        break;
      case "TJ":
        this.write(Array.isArray(operands[0]) ? operands[0] : []);
        break;
    }
  }

  paint({ fill = false, stroke = false, close = false, rule = "nonzero" }) {
    const { context, state } = this;
    if (close) this.path.closePath();
    context.setTransform(...state.matrix);
    if (fill) {
      context.fillStyle = state.fill;
      context.fill(this.path, rule);
    }
    if (stroke) {
      context.strokeStyle = state.stroke;
      context.lineWidth = state.line;
      context.stroke(this.path);
    }
    this.path = new Path2D();
  }

  moveLine(x = 0, y = 0) {
    this.line = multiply([1, 0, 0, 1, x, y], this.line ?? [1, 0, 0, 1, 0, 0]);
    this.cursor = this.line;
    this.text += " ";
  }

  write(items) {
    const { context, state } = this;
    context.fillStyle = state.fill;
    context.font = state.font ? state.font.css(state.size) : `${state.size}px sans-serif`;
    for (const item of items) {
      let advance = 0;
      if (typeof item === "number") {
        advance = (-item / 1000) * state.size;
      } else if (item instanceof Uint8Array) {
        const text = state.font ? state.font.text(item) : WINDOWS_1252.decode(item);
        const cursor = this.cursor ?? [1, 0, 0, 1, 0, 0];
        // Glyphs stand upright in a space whose y axis points up.
        context.setTransform(...multiply([1, 0, 0, -1, 0, 0], multiply(cursor, state.matrix)));
        context.fillText(text, 0, 0);
        advance = context.measureText(text).width;
        this.text += text;
      }
      this.cursor = multiply([1, 0, 0, 1, advance, 0], this.cursor ?? [1, 0, 0, 1, 0, 0]);
    }
  }
}

function multiply([a, b, c, d, e, f], [g, h, i, j, k, l]) {
  return [
    a * g + b * i,
    a * h + b * j,
    c * g + d * i,
    c * h + d * j,
    e * g + f * i + k,
    e * h + f * j + l,
  ];
}

function color(parts) {
  const percent = (part) => `${Math.round(part * 1000) / 10}%`;
  if (parts.length === 1) return `rgb(${Array(3).fill(percent(parts[0])).join(" ")})`;
  if (parts.length === 3) return `rgb(${parts.map(percent).join(" ")})`;
  if (parts.length !== 4) return undefined;
  const [cyan, magenta, yellow, black] = parts;
  return color([cyan, magenta, yellow].map((ink) => (1 - ink) * (1 - black)));
}

const MAX_SIDE = 4_000;
