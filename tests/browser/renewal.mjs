// A document stays open: its session is renewed before it ends, after it was revoked, and by an SDK that can only
// load anew. And it stops, with a word, when the app has changed its mind.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ANN, check, control, eventually, launch, logIn, samplePdf, settledState, system, upload, visitor, walk } from "./support.mjs";

const shipped = fileURLToPath(new URL("../../config.toml", import.meta.url));

await walk(async (atEnd) => {
  const browser = await launch(atEnd);

  const short = await opened(browser, await system(atEnd, ["--config", await withShortSessions(atEnd)]));
  const minted = async () => (await control(short.sandbox, "state")).counters.sessions;
  const first = await minted();
  check("a session that nears its end is renewed", await eventually(async () => (await minted()) > first));
  check("and the document stays open", await eventually(() => short.page.evaluate(isOpen)));
  check("without a word", short.complaints.length === 0, short.complaints.join(" | "));

  const { page, sandbox, content } = await opened(browser, await system(atEnd));
  await revokeAndScroll(page, sandbox);
  check("a revoked session is replaced", await eventually(() => recovered(sandbox)));
  check("and the document stays open", await eventually(() => page.evaluate(isOpen)));

  // Timers and events ask for the session that is kept, and the service refuses it before they have it.
  const asked = [];
  const isFresh = (search) => new URLSearchParams(search).has("fresh");
  await page.route("**/.transom/session/**", async (route) => {
    const address = new URL(route.request().url());
    asked.push(address.search);
    if (!isFresh(address.search)) await eventually(() => refusedOnce(sandbox));
    await route.continue();
  });
  await control(sandbox, "journal", { method: "DELETE" });
  await control(sandbox, "revoke", { method: "POST" });
  await page.evaluate(wake);
  await page.locator("#viewer").hover();
  await page.mouse.wheel(0, 200);
  check("a laptop that wakes up has its session replaced", await eventually(() => recovered(sandbox)));
  check("by a fresh one, after the one that was kept", !isFresh(asked[0]) && asked.some(isFresh), asked.join(" "));
  check("and the document stays open", await eventually(() => page.evaluate(isOpen)), await page.innerText("#notice"));
  await page.unroute("**/.transom/session/**");

  await page.route("**/nutrient-viewer.js", withoutSetSession);
  await page.goto(content);
  check("an SDK without setSession opens it", (await settledState(page)) === "open");
  const loads = await page.evaluate(() => globalThis.loads);
  await revokeAndScroll(page, sandbox);
  check("and loads it anew", await eventually(async () => (await page.evaluate(() => globalThis.loads)) > loads));
  check("with the next session", await eventually(() => recovered(sandbox)));
  check("so that the document is open", await eventually(() => page.evaluate(isOpen)));
  await page.unroute("**/nutrient-viewer.js");

  // Without a new visit: the session handed out is good for nothing when the next page asks for one.
  await control(sandbox, "revoke", { method: "POST" });
  await page.goto(content);
  check("a session revoked between two visits is replaced", (await settledState(page)) === "open");

  await page.evaluate((address) => fetch(address, { method: "POST" }), content.replace("/content", "/delete"));
  await revokeAndScroll(page, sandbox);
  const told = () => page.evaluate(() => !document.getElementById("notice").hidden);
  check("a refused renewal is told", await eventually(told));
  check("in the words for it", (await page.innerText("#notice")).includes("does not show you this document"), await page.innerText("#notice"));
});

// Ann, with a document of hers in the viewer.
async function opened(browser, { base, sandbox }) {
  const { page, complaints } = await visitor(browser);
  await logIn(page, base, ANN);
  const file = { name: "renewed.pdf", mimeType: "application/pdf", buffer: samplePdf() };
  const content = `${base}/files/${await upload(page, base, file)}/content`;
  await page.goto(content);
  check("the viewer opens", (await settledState(page)) === "open");
  return { page, complaints, sandbox, content };
}

// Runs in the page.
function isOpen() {
  const notice = document.getElementById("notice");
  return document.body.dataset.state === "open" && notice.hidden && document.querySelector("#viewer").childElementCount > 0;
}

// Runs in the page: an hour later, everything that is due asks at once.
function wake() {
  const now = Date.now;
  Date.now = () => now() + 3_600_000;
  document.dispatchEvent(new Event("visibilitychange"));
  for (const name of ["focus", "pageshow", "online"]) window.dispatchEvent(new Event(name));
  Date.now = now;
}

// The shipped configuration, with sessions so short that one can wait for a renewal, and long enough that a busy
// machine does not miss it.
async function withShortSessions(atEnd) {
  const text = await readFile(shipped, "utf8");
  const short = text.replace("session = { page = true }", 'session = { page = true }\nttl = "60s"');
  if (short === text) throw new Error("config.toml has no page view any more");
  const folder = await mkdtemp(join(tmpdir(), "transom-renewal-"));
  atEnd(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "config.toml"), short);
  return join(folder, "config.toml");
}

// The stand-in SDK finds a refusal out when it needs more of the document.
async function revokeAndScroll(page, sandbox) {
  await control(sandbox, "journal", { method: "DELETE" });
  await control(sandbox, "revoke", { method: "POST" });
  await page.locator("#viewer").hover();
  await page.mouse.wheel(0, 200);
}

async function refusedOnce(sandbox) {
  const { requests } = await control(sandbox, "journal");
  return requests.some(({ method, path, status }) => method === "POST" && path.endsWith("/auth") && status === 403);
}

// A refused auth, a new session, and a good auth, in this order.
async function recovered(sandbox) {
  const { requests } = await control(sandbox, "journal");
  const of = (test) => requests.findIndex(test);
  const auth = ({ method, path }) => method === "POST" && path.endsWith("/auth");
  const refused = of((request) => auth(request) && request.status === 403);
  const session = requests.findIndex(({ path }, at) => at > refused && path === "/viewer/sessions");
  return refused >= 0 && session >= 0 && requests.some((request, at) => at > session && auth(request) && request.status === 200);
}

// The sandbox's SDK as those before 1.14 were: an instance can't take another session.
async function withoutSetSession(route) {
  const reply = await route.fetch();
  const older = `
    const { load, ...rest } = globalThis.NutrientViewer;
    globalThis.loads = 0;
    globalThis.NutrientViewer = { ...rest, load: async (options) => {
      await load(options);
      globalThis.loads += 1;
      return {};
    } };`;
  await route.fulfill({ response: reply, body: `${await reply.text()}\n;${older}` });
}
