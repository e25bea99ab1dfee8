// Reads {"query"} or {"body", "type"} per line; writes what qs, Node and busboy find under `doc_id`.
import { createInterface } from "node:readline";
import querystring from "node:querystring";
import busboy from "busboy";
import qs from "qs";

function ofQuery(query) {
  const nested = qs.parse(query).doc_id ?? null;
  const flat = querystring.parse(query).doc_id ?? null;
  const web = new URLSearchParams(query).getAll("doc_id");
  const same = nested === flat && (web.length === 0 ? flat === null : web.length === 1 && web[0] === flat);
  return same ? flat : { other: [nested, flat, web] };
}

function ofForm(type, body) {
  return new Promise((resolve) => {
    const found = [];
    const form = busboy({ headers: { "content-type": type } });
    form.on("field", (name, value) => name === "doc_id" && found.push(value));
    form.on("error", () => resolve({ refused: true }));
    form.on("close", () => resolve(found.length > 1 ? { other: found } : found[0] ?? null));
    form.end(Buffer.from(body));
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const { query, type, body } = JSON.parse(line);
  const found = query === undefined ? await ofForm(type, body) : ofQuery(query);
  console.log(JSON.stringify(found));
}
