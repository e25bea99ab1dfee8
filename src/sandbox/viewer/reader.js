// Reads as much of a PDF as its pages need: objects, streams, fonts' names, content operators.

// Objects are found by scanning for `n 0 obj` rather than through the cross-reference table: a
// later object of the same number replaces an earlier one, as an incremental update does.
async function pagesOf(bytes) {
  const source = WINDOWS_1252.decode(bytes);
  const objects = new Map();
  for (const match of source.matchAll(/(\d+)\s+\d+\s+obj\b/g)) {
    try {
      const object = readIndirect(bytes, source, match.index + match[0].length);
      objects.set(Number(match[1]), object);
    } catch {
      // Bytes inside a stream that look like an object.
    }
  }
  const follow = (value) => {
    for (let hops = 0; value?.reference !== undefined && hops < 20; hops += 1) {
      value = objects.get(value.reference);
    }
    return value;
  };
  for (const object of [...objects.values()]) {
    if (object?.dictionary?.Type?.name === "ObjStm") await unpack(object, objects, follow);
  }
  const catalogs = [...objects.values()].filter((object) => object?.Type?.name === "Catalog");
  const pages = [];
  await collect(follow(catalogs.at(-1)?.Pages), {}, pages, follow, 0);
  return pages;
}

async function collect(node, inherited, pages, follow, depth) {
  if (!node || depth > 30 || pages.length >= 5_000) return;
  const merged = { ...inherited, ...node };
  const kids = follow(node.Kids);
  if (Array.isArray(kids)) {
    for (const kid of kids) await collect(follow(kid), merged, pages, follow, depth + 1);
    return;
  }
  const box = (follow(merged.MediaBox) ?? []).map(follow);
  const [left, bottom, right, top] = box.length === 4 ? box : [0, 0, 612, 792];
  const contents = [follow(merged.Contents)].flat().map(follow);
  let operations = [];
  try {
    const fonts = await fontsOf(follow(follow(merged.Resources)?.Font), follow);
    const parts = [];
    for (const stream of contents) if (stream?.dictionary) parts.push(await decode(stream, follow));
    operations = operationsOf(parts, fonts);
  } catch {
    operations = operationsOf([new TextEncoder().encode(UNREADABLE)], {});
  }
  pages.push({ box: [left, bottom, right, top], operations });
}

async function fontsOf(dictionary, follow) {
  const fonts = {};
  for (const [name, reference] of Object.entries(dictionary ?? {})) {
    const font = follow(reference);
    const base = font?.BaseFont?.name ?? "";
    const roman = /times|serif/i.test(base) ? "serif" : "sans-serif";
    const family = /courier|mono/i.test(base) ? "monospace" : roman;
    const style = /italic|oblique/i.test(base) ? "italic " : "";
    const weight = /bold/i.test(base) ? "bold " : "";
    fonts[name] = {
      css: (size) => `${style}${weight}${size}px ${family}`,
      text: await textOf(font, follow),
    };
  }
  return fonts;
}

// How a font's codes become text: by its ToUnicode map, else as WinAnsi. The codes of a composite
// font without a map mean glyphs of that font, so nothing can be shown for them.
async function textOf(font, follow) {
  const stream = follow(font?.ToUnicode);
  const composite = font?.Subtype?.name === "Type0";
  const map = stream?.dictionary ? unicodeMap(await decode(stream, follow)) : new Map();
  if (!composite && map.size === 0) return (bytes) => WINDOWS_1252.decode(bytes);
  const width = composite ? 2 : 1;
  return (bytes) => {
    let text = "";
    for (let index = 0; index + width <= bytes.length; index += width) {
      const code = bytes.subarray(index, index + width);
      text += map.get(toNumber(code)) ?? (composite ? "" : WINDOWS_1252.decode(code));
    }
    return text;
  };
}

// `bfchar` and `bfrange` of a ToUnicode map (ISO 32000-1 section 9.10.3).
function unicodeMap(data) {
  const map = new Map();
  for (const { operator, operands } of operationsOf([data], {})) {
    if (operator === "endbfchar") {
      for (let index = 0; index + 1 < operands.length; index += 2) {
        map.set(toNumber(operands[index]), utf16(operands[index + 1]));
      }
    } else if (operator === "endbfrange") {
      for (let index = 0; index + 2 < operands.length; index += 3) {
        const [from, to, target] = operands.slice(index, index + 3);
        const [first, last] = [toNumber(from), Math.min(toNumber(to), 0xffff)];
        for (let code = first; code <= last; code += 1) {
          const step = code - first;
          map.set(code, Array.isArray(target) ? utf16(target[step]) : utf16(target, step));
        }
      }
    }
  }
  return map;
}

function utf16(bytes, offset = 0) {
  if (!(bytes instanceof Uint8Array)) return "";
  const units = [];
  for (let index = 0; index + 1 < bytes.length; index += 2) {
    units.push((bytes[index] << 8) | bytes[index + 1]);
  }
  if (units.length > 0) units[units.length - 1] += offset;
  return String.fromCharCode(...units.slice(0, 8));
}

function toNumber(bytes) {
  return bytes instanceof Uint8Array ? bytes.reduce((number, byte) => number * 256 + byte, 0) : 0;
}

function operationsOf(parts, fonts) {
  const operations = [];
  for (const part of parts) {
    const reader = new Reader(part, WINDOWS_1252.decode(part), 0);
    let operands = [];
    while (operations.length < 200_000) {
      const token = reader.next();
      if (token === undefined) break;
      if (token?.operator === undefined) {
        operands.push(token);
        continue;
      }
      if (token.operator === "BI") break;
      if (token.operator === "Tf") operands[0] = { name: fonts[operands[0]?.name] };
      operations.push({ operator: token.operator, operands });
      operands = [];
    }
  }
  return operations;
}

function readIndirect(bytes, source, start) {
  const reader = new Reader(bytes, source, start);
  const value = reader.next();
  const after = /^\s*stream\r?\n/.exec(source.slice(reader.position, reader.position + 32));
  if (!after) return value;
  const from = reader.position + after[0].length;
  const length = typeof value.Length === "number" ? value.Length : undefined;
  const stated = /^\s*endstream/.test(source.slice(from + length, from + length + 16));
  const end = stated ? from + length : source.indexOf("endstream", from);
  return { dictionary: value, data: bytes.subarray(from, end < 0 ? bytes.length : end) };
}

async function decode({ dictionary, data }, follow) {
  const filters = [follow(dictionary.Filter) ?? []].flat().map((filter) => follow(filter)?.name);
  for (const filter of filters) {
    if (filter === "ASCIIHexDecode") data = fromHex(WINDOWS_1252.decode(data));
    else if (filter === "FlateDecode") data = await inflate(data);
    else throw new Error(`filter ${filter}`);
  }
  return data;
}

// Line ends before `endstream` make the browser complain of trailing bytes after it gave all.
async function inflate(data) {
  const inflater = new DecompressionStream("deflate");
  const reader = new Blob([data]).stream().pipeThrough(inflater).getReader();
  const chunks = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > MAX_INFLATED) throw new RangeError("too large");
      chunks.push(value);
    }
  } catch (error) {
    if (size === 0 || error instanceof RangeError) throw error;
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function unpack(stream, objects, follow) {
  try {
    const data = await decode(stream, follow);
    const source = WINDOWS_1252.decode(data);
    const first = follow(stream.dictionary.First);
    const numbers = source.slice(0, first).trim().split(/\s+/).map(Number);
    for (let index = 0; index + 1 < numbers.length; index += 2) {
      const reader = new Reader(data, source, first + numbers[index + 1]);
      if (!objects.has(numbers[index])) objects.set(numbers[index], reader.next());
    }
  } catch {
    // What was in it is missing, and its pages are drawn without.
  }
}

// Tokens of ISO 32000-1 section 7.2: numbers, names as {name}, strings as bytes, arrays,
// dictionaries, references as {reference}, and everything else as {operator}.
class Reader {
  constructor(bytes, source, position) {
    this.bytes = bytes;
    this.source = source;
    this.position = position;
  }

  next(depth = 0) {
    if (depth > 50) throw new RangeError("nested too deeply");
    this.match(/(?:[\0\t\n\f\r ]|%[^\r\n]*)*/y);
    const reference = this.match(/(\d+)\s+\d+\s+R(?![^\s<>[\]()/%])/y);
    if (reference) return { reference: Number(reference[1]) };
    const number = this.match(/[+-]?(?:\d+\.?\d*|\.\d+)/y);
    if (number) return Number(number[0]);
    const name = this.match(/\/([^\s<>[\](){}/%]*)/y);
    if (name) return { name: name[1].replace(/#([0-9a-f]{2})/gi, (_, hex) => char(hex)) };
    if (this.match(/<</y)) return this.dictionary(depth);
    const hex = this.match(/<([0-9a-fA-F\s]*)>/y);
    if (hex) return fromHex(hex[1]);
    if (this.match(/\(/y)) return this.literal();
    if (this.match(/\[/y)) return this.array(depth);
    const word = this.match(/[^\s<>[\](){}/%]+/y);
    if (word) return { operator: word[0] };
    if (this.position >= this.source.length) return undefined;
    this.position += 1;
    return { operator: this.source[this.position - 1] };
  }

  dictionary(depth) {
    const entries = {};
    for (;;) {
      this.match(/(?:[\0\t\n\f\r ]|%[^\r\n]*)*/y);
      if (this.match(/>>/y)) return entries;
      const key = this.next(depth + 1);
      if (key?.name === undefined) throw new Error("a dictionary key is no name");
      entries[key.name] = this.next(depth + 1);
    }
  }

  array(depth) {
    const items = [];
    for (;;) {
      const item = this.next(depth + 1);
      if (item === undefined || item?.operator === "]") return items;
      items.push(item);
    }
  }

  literal() {
    const out = [];
    for (let open = 1; this.position < this.source.length; ) {
      const char = this.source[this.position++];
      if (char === "\\") {
        const octal = this.match(/[0-7]{1,3}/y);
        if (octal) {
          out.push(parseInt(octal[0], 8) & 255);
          continue;
        }
        const escaped = this.source[this.position++] ?? "";
        const control = { n: 10, r: 13, t: 9, b: 8, f: 12 }[escaped];
        if (escaped !== "\n" && escaped !== "\r") out.push(control ?? escaped.charCodeAt(0));
        continue;
      }
      if (char === "(") open += 1;
      if (char === ")") open -= 1;
      if (open === 0) break;
      out.push(this.bytes[this.position - 1]);
    }
    return Uint8Array.from(out);
  }

  match(pattern) {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.source);
    if (found) this.position = pattern.lastIndex;
    return found;
  }
}

function char(hex) {
  return String.fromCharCode(parseInt(hex, 16));
}

function fromHex(text) {
  const digits = text.replace(/[^0-9a-fA-F]/g, "");
  return Uint8Array.from(digits.match(/..?/g) ?? [], (pair) => parseInt(pair.padEnd(2, "0"), 16));
}

// One character per byte, so that offsets in text and bytes are the same.
const WINDOWS_1252 = new TextDecoder("windows-1252");
const MAX_INFLATED = 64 * 1024 * 1024;
const UNREADABLE =
  "BT /F 14 Tf 40 740 Td (This page is more than the sandbox's viewer can read.) Tj ET";
