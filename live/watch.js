// Whether the program behind the page still answers. Where it does not, the numbers stand still and
// must not look fresh: the page is greyed, and a line says for how long nothing was heard. Every
// good answer counts; while nothing else is asked, the server is asked how it is.
const LOOK_MS = 2000;
const QUIET_MS = 4000;
const PATIENCE_MS = 4000;
const SILENT_MS = 10000;
const health = new URL("./_stcore/health", document.baseURI).href;
let last = performance.now();
let asking = false;
let note = null;

export function heard() {
  last = performance.now();
  if (!note) return;
  note.remove();
  note = null;
  delete document.documentElement.dataset.unanswered;
}

function silent() {
  const quiet = performance.now() - last;
  if (quiet < SILENT_MS) return;
  if (!note) {
    note = document.body.appendChild(document.createElement("div"));
    note.className = "live-unanswered";
    note.setAttribute("role", "status");
    document.documentElement.dataset.unanswered = "";
  }
  const seconds = Math.round(quiet / 1000);
  note.textContent = `No answer for ${seconds} s: what is shown is at least as old.`;
}

async function look() {
  if (asking || document.hidden || performance.now() - last < QUIET_MS) return;
  asking = true;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(health, { cache: "no-store", signal });
    if (answer.ok) heard();
    else silent();
  } catch (problem) {
    if (!(problem instanceof TypeError || problem instanceof DOMException)) throw problem;
    silent();
  } finally {
    asking = false;
  }
}

setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);
