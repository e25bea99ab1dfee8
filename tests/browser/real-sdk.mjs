// The SDK from npm under our page's policy: it must reach the service with our session, and the
// policy must not have blocked anything on the way. It can't go further: the sandbox renders nothing.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { ANN, check, launch, logIn, samplePdf, settledState, system, upload, visitor, walk } from "./support.mjs";

const dist = fileURLToPath(new URL("node_modules/@nutrient-sdk/viewer/dist", import.meta.url));
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json" };

await walk(async (atEnd) => {
  const assets = await serve(dist, atEnd);
  const { base, sandbox } = await system(atEnd, ["--sdk", `${assets}/nutrient-viewer.js`]);
  const browser = await launch(atEnd);
  const ann = await visitor(browser);
  await logIn(ann.page, base, ANN);
  const file = { name: "real.pdf", mimeType: "application/pdf", buffer: samplePdf() };
  const id = await upload(ann.page, base, file);

  await ann.page.goto(`${base}/files/${id}/content`);
  const state = await settledState(ann.page);
  const sdk = await ann.page.evaluate(() => globalThis.NutrientViewer?.version);
  check("the SDK runs", typeof sdk === "string", `state ${state}`);
  console.log(`     SDK ${sdk}, page ${state}: ${await ann.page.innerText("#notice p")}`);

  const { requests } = await (await fetch(`${sandbox}/control/journal`)).json();
  const auth = requests.filter(({ method, path }) => method === "POST" && /^\/i\/d\/[^/]+\/auth$/.test(path));
  check("it reached the service's auth", auth.length > 0);
  check("which took our session", auth.some(({ status }) => status === 200), auth.map(({ status }) => status));
  const { documents } = await (await fetch(`${sandbox}/control/state`)).json();
  const known = new Set(documents.map((document) => document.id));
  check("for the uploaded document", auth.every(({ path }) => known.has(path.split("/")[3])));
  const blocked = ann.complaints.filter((text) => /CSP:|Content Security Policy/.test(text));
  check("no CSP violation", blocked.length === 0, blocked.join(" | "));
  if (process.env.SHOT) await ann.page.screenshot({ path: process.env.SHOT });
});

async function serve(root, atEnd) {
  const server = createServer(async (request, reply) => {
    const path = join(root, normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)));
    const found = path.startsWith(root) && (await stat(path).catch(() => null))?.isFile();
    reply.setHeader("access-control-allow-origin", "*");
    if (!found) return reply.writeHead(404).end();
    reply.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
    createReadStream(path).pipe(reply);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => server.close() && server.closeAllConnections());
  return `http://127.0.0.1:${server.address().port}`;
}
