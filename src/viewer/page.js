// Opens one document and keeps its session alive. Every session is asked for anew, so that each is
// authorised as the visitor is at that moment.

const page = JSON.parse(document.getElementById("page").textContent);
const container = document.getElementById("viewer");
const notice = document.getElementById("notice");

const LOAD_SLOW = 60_000;
const PENDING_AT_MOST = 600_000;
const RETRY_RENEWAL = 30_000;
const LONGEST_TIMER = 0x7fffffff;
const FRESH_WITHIN = 20_000;

// A failed load() tells its cause by the status of the service's reply alone.
const OF_STATUS = { 401: "session_refused", 403: "session_refused", 404: "document_gone" };

let viewer; // the SDK's instance, once load() resolved
let grant; // { session, renewAt, endsAt }, in this machine's time
let given; // the session that the SDK has
let refused; // the last one that the service would not take
let renewing; // the renewal under way
let timer;

class Problem extends Error {
  constructor(code, reply = {}) {
    const text = page.texts[code] ?? page.texts.unknown;
    super(`${text.title}. ${text.advice}`);
    Object.assign(this, { code, text, passing: code === "offline" || reply.status >= 500 });
  }
}

main();

async function main() {
  notice.querySelector("button").addEventListener("click", () => location.reload());
  try {
    await loadScript();
    await open();
  } catch (error) {
    // Whatever the service is in, the app has the document: better its bytes than words.
    if (page.original && !grant && error.passing && error.code !== "offline") {
      location.replace(page.original);
      return;
    }
    fail(error);
    return;
  }
  document.addEventListener("visibilitychange", renewIfDue);
  window.addEventListener("focus", renewIfDue);
  window.addEventListener("pageshow", renewIfDue);
  window.addEventListener("online", renewIfDue);
}

function loadScript() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.nonce = page.nonce;
    script.src = page.sdk;
    script.onload = () => (window.NutrientViewer ? resolve() : reject(new Problem("sdk_missing")));
    script.onerror = () => reject(new Problem("sdk_missing"));
    document.head.append(script);
  });
}

// A session handed out before may have been revoked since (the SDK doesn't call onAuthFailed in load): one
// more try.
function open() {
  return hand(load);
}

// Has the SDK take a good session, in this way; another one, should the service refuse the first.
async function hand(take) {
  for (const last of [false, true]) {
    adopt(await obtain());
    try {
      return await take();
    } catch (error) {
      if (last || !(error.status in OF_STATUS)) throw error;
      refused = given;
    }
  }
}

async function load() {
  const assets = new URL(".", new URL(page.sdk, location.href)).href;
  const slow = setTimeout(() => say(page.texts.load_slow), LOAD_SLOW);
  viewer = undefined;
  given = grant.session;
  NutrientViewer.unload(container);
  try {
    viewer = await NutrientViewer.load({
      container,
      session: grant.session,
      nonce: page.nonce,
      ...(page.cdn ? { useCDN: true } : { baseUrl: assets }),
      onAuthFailed: renewRefused,
    });
    state("open");
  } finally {
    clearTimeout(slow);
  }
}

// The SDK gives onAuthFailed 30 s; a rejection ends the wait with our own words.
async function renewRefused() {
  refused = given;
  try {
    await renew();
  } catch (error) {
    say(error.text ?? page.texts.session_refused);
    throw error;
  }
}

// One at a time. When a laptop wakes, timers, events and the SDK ask at once: all of them get what this brings, and
// it looks at `refused` last.
function renew() {
  renewing ??= (async () => {
    try {
      await hand(setSession);
      if (viewer) state("open");
    } finally {
      renewing = undefined;
    }
  })();
  return renewing;
}

async function setSession() {
  if (!viewer?.setSession) return viewer && load(); // SDK before 1.14
  given = grant.session;
  await viewer.setSession(given);
}

async function renewIfDue() {
  if (!grant || document.hidden || Date.now() < grant.renewAt) return;
  try {
    await renew();
  } catch (error) {
    if (error.passing) renewAfter(RETRY_RENEWAL);
    if (!error.passing || Date.now() >= grant.endsAt) say(error.text ?? page.texts.session_refused);
  }
}

function adopt(fresh) {
  grant = fresh;
  renewAfter(grant.renewAt - Date.now());
}

function renewAfter(delay) {
  clearTimeout(timer);
  timer = setTimeout(renewIfDue, Math.min(delay, LONGEST_TIMER));
}

// The session that Transom keeps, or another one where that is the refused one, which it may have become while
// it was asked for. Transom gives one anew after a moment only.
async function obtain() {
  const givenUpAt = Date.now() + FRESH_WITHIN;
  let anew = refused !== undefined && refused === grant?.session;
  for (;;) {
    const found = await mint(anew ? page.fresh : page.session);
    if (found.session !== refused || Date.now() > givenUpAt) return found;
    if (anew) await seconds(1);
    anew = true;
  }
}

// A page that is rendered ahead of its user costs no session before the user sees it.
function shown() {
  if (!document.prerendering) return undefined;
  return new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }));
}

async function mint(address) {
  if (!address) throw new Problem("unknown");
  await shown();
  const givenUpAt = Date.now() + PENDING_AT_MOST;
  for (;;) {
    const reply = await ask(address);
    if (reply.status === 200) return read(reply);
    const code = await reply.json().then((problem) => problem.code, () => "unknown");
    if (reply.status !== 202 || Date.now() > givenUpAt) throw new Problem(code, reply);
    state("waiting");
    say(page.texts[code] ?? page.texts.document_pending);
    const wait = Number(reply.headers.get("retry-after")) || 2;
    await seconds(Math.min(Math.max(wait, 1), 30));
  }
}

function seconds(count) {
  return new Promise((resolve) => setTimeout(resolve, count * 1000));
}

function ask(address) {
  const headers = { accept: "application/json" };
  const options = { credentials: "same-origin", cache: "no-store", headers };
  return fetch(address, options).catch(() => {
    throw new Problem("offline");
  });
}

// `expires_at` is compared with the server's clock, as this machine's may be wrong.
async function read(reply) {
  const { session, expires_at: expires } = await reply.json().catch(() => ({}));
  if (!session || !Number.isFinite(expires)) throw new Problem("unknown");
  const life = expires * 1000 - (Date.parse(reply.headers.get("date")) || Date.now());
  const now = Date.now();
  return { session, renewAt: now + Math.max((life * 2) / 3, 5000), endsAt: now + life };
}

function fail(error) {
  console.warn("viewer:", error.code ?? error.status ?? error.name);
  if (window.NutrientViewer) NutrientViewer.unload(container);
  clearTimeout(timer);
  state("failed");
  const code = error.code ?? OF_STATUS[error.status] ?? "load_failed";
  document.body.dataset.code = code;
  say(page.texts[code] ?? page.texts.unknown);
}

function state(name) {
  document.body.dataset.state = name;
  if (name === "open") notice.hidden = true;
}

function say({ title, advice }) {
  notice.querySelector("strong").textContent = title;
  notice.querySelector("p").textContent = advice;
  notice.hidden = false;
}
