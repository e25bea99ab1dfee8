// One address for bytes and for a page, in a browser whose cache is warm: over http, where no Sec-Fetch-* headers come
// from far hosts, and over https.
import { execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { check, FLAGS, samplePdf, settledState, TRANSOM, visitor, walk } from "./support.mjs";

// Plain http to a name that is not the browser's own machine is no secure context, so that Fetch Metadata are not sent.
const FAR = "far.test";

await walk(async (atEnd) => {
  const dir = mkdtempSync(join(tmpdir(), "transom-cache-"));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  const app = await serve(atEnd);
  const sandbox = await freePort();
  run(["sandbox", "--listen", `127.0.0.1:${sandbox}`], dir, atEnd);
  await listening(sandbox);
  const spki = certificate(dir);
  const args = [...FLAGS, `--host-resolver-rules=MAP ${FAR} 127.0.0.1`, `--ignore-certificate-errors-spki-list=${spki}`];
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args });
  atEnd(() => browser.close());

  for (const scheme of ["http", "https"]) {
    const port = await freePort();
    const tls = scheme === "https" ? 'tls = { cert = "cert.pem", key = "key.pem" }' : "";
    const config = `
[server]
listen = "127.0.0.1:${port}"
admin = "off"
${tls}
[app]
url = "http://127.0.0.1:${app.port}"
[dws]
url = "http://127.0.0.1:${sandbox}/viewer"
api_key = "sandbox-key"
[store]
path = "data-${scheme}"
[viewer]
sdk = "http://127.0.0.1:${sandbox}/nutrient-viewer.js"
[documents.files]
source = "GET /files/{id}/content"
[[documents.files.view]]
route = "GET /files/{id}/content"
session = { page = true }
[[documents.files.view]]
route = "GET /api/files/{id}"
session = { json = "/viewer_session" }
`;
    writeFileSync(join(dir, `${scheme}.toml`), config);
    run(["run", "--config", `${scheme}.toml`], dir, atEnd);
    await listening(port);
    await warm(browser, app, `${scheme}://${FAR}:${port}`, scheme);
  }
});

async function warm(browser, app, base, scheme) {
  const { page, context } = await visitor(browser);
  const content = `${base}/files/7/content`;
  const home = async () => page.goto(`${base}/`);
  const bytes = () =>
    page.evaluate(async (address) => {
      const reply = await fetch(address);
      return { head: (await reply.text()).slice(0, 5), type: reply.headers.get("content-type") };
    }, content);
  const session = () => page.evaluate(async (address) => (await (await fetch(address)).json()).viewer_session, `${base}/api/files/7`);
  const isPage = () => page.evaluate(() => document.body?.dataset.state !== undefined);

  await home();
  check(`${scheme}: the first bytes are the document`, (await bytes()).head === "%PDF-");
  const asked = app.asked("/files/7/content");
  check(`${scheme}: and again`, (await bytes()).head === "%PDF-");
  check(`${scheme}: from the browser's cache`, app.asked("/files/7/content") === asked);
  check(`${scheme}: the JSON has its session`, (await session())?.startsWith("eyJ"));
  for (const round of [1, 2, 3]) {
    await page.goto(content);
    check(`${scheme} ${round}: a visit gets the page`, await isPage());
    check(`${scheme} ${round}: which does not hang`, (await settledState(page)) !== "loading");
    await page.reload();
    check(`${scheme} ${round}: so does a reload`, await isPage());
    await home();
    const got = await bytes();
    check(`${scheme} ${round}: a script gets the bytes`, got.head === "%PDF-", JSON.stringify(got));
    check(`${scheme} ${round}: and JSON with its session`, (await session())?.startsWith("eyJ"));
    await page.goBack();
    check(`${scheme} ${round}: back is the page`, await isPage());
    await home();
  }
  await context.close();
}

// An app that lets everybody keep everything.
async function serve(atEnd) {
  const counts = new Map();
  const pdf = samplePdf();
  const server = createServer((request, reply) => {
    const path = new URL(request.url, "http://x").pathname;
    counts.set(path, (counts.get(path) ?? 0) + 1);
    reply.setHeader("cache-control", "public, max-age=600");
    reply.setHeader("etag", '"v1"');
    if (request.headers["if-none-match"] === '"v1"') return reply.writeHead(304).end();
    const kinds = { "/files/7/content": ["application/pdf", pdf], "/api/files/7": ["application/json", '{"id":7}'] };
    const [type, body] = kinds[path] ?? ["text/html", "<!doctype html><title>app</title>"];
    reply.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => server.close() && server.closeAllConnections());
  return { port: server.address().port, asked: (path) => counts.get(path) ?? 0 };
}

function run(args, cwd, atEnd) {
  const child = spawn(TRANSOM, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
  atEnd(() => child.kill("SIGTERM"));
}

async function freePort() {
  const socket = createSocket();
  await new Promise((resolve) => socket.listen(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

async function listening(port) {
  for (let tries = 0; tries < 300; tries += 1) {
    const there = await new Promise((resolve) => {
      const probe = connect(port, "127.0.0.1", () => resolve(true));
      probe.on("error", () => resolve(false));
      probe.on("connect", () => probe.destroy());
    });
    if (there) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing listens on ${port}`);
}

// The browser takes this certificate for a good one, since it keeps nothing of connections with bad ones.
function certificate(dir) {
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  const subject = ["-subj", `/CN=${FAR}`, "-addext", `subjectAltName=DNS:${FAR}`];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" });
  const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("base64");
}
