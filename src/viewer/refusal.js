// Waits for the document in place: a page that reloads itself would start a screen reader over each time.

const AT_MOST = 30;
const prefix = document.body.dataset.prefix;
const session = location.pathname.replace(`${prefix}/view/`, `${prefix}/session/`) + location.search;
const waited = document.getElementById("waited");
const began = Date.now();

setInterval(() => {
  const seconds = Math.floor((Date.now() - began) / 1000);
  waited.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}, 1000);

for (let wait = 2; ; ) {
  await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  const options = { credentials: "same-origin", cache: "no-store", headers: { accept: "application/json" } };
  const reply = await fetch(session, options).catch(() => undefined);
  // It is there, or there is another reason: either has a page of its own.
  if (reply && reply.status !== 202) break;
  wait = Math.min(Math.max(Number(reply?.headers.get("retry-after")) || 2, 1), AT_MOST);
}
location.reload();
