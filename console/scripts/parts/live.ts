/** Live parts of a page: each is asked for again when the console says that something of its kinds changed.
 *  Without that stream they are asked for every quarter of a minute, and the page says so. */
import htmx from "htmx.org";
import { spoken } from "./spans.js";

const WITHOUT_STREAM_MS = 15_000;
/** What no stream reports, such as a follower that stopped, is looked at this often. */
const SLOW_MS = 30_000;

const body = document.body;
let source: EventSource | undefined;
let position = body.dataset["after"] ?? "";
let refreshedAt = performance.now();

/** Parts that are dear to add up are asked for no more often than this. */
const CALM_MS = 30_000;
const calmed = new Map<string, number>();

function refresh(kinds?: ReadonlySet<string>): void {
  for (const part of document.querySelectorAll<HTMLElement>("[data-live]")) {
    const own = (part.dataset["live"] ?? "").split(" ");
    if (kinds !== undefined && !own.some((kind) => kinds.has(kind))) continue;
    if (part.dataset["calm"] === undefined) htmx.trigger(part, "live");
    else later(part.id);
  }
}

function later(id: string): void {
  if (calmed.has(id)) return;
  calmed.set(id, setTimeout(() => {
    calmed.delete(id);
    const part = document.getElementById(id);
    if (part !== null && !document.hidden) htmx.trigger(part, "live");
  }, CALM_MS));
}

const isOpen = (): boolean => source?.readyState === EventSource.OPEN;

function shown(): void {
  const place = document.querySelector("#liveness");
  const text = isOpen() ? "Live" : "Not live: asked for every 15 seconds";
  if (place !== null && place.textContent !== text) place.textContent = text;
}

function open(): void {
  if (source !== undefined && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource(`/console/live?after=${encodeURIComponent(position === "" ? "nothing" : position)}`);
  source.addEventListener("change", (event) => {
    position = event.lastEventId;
    refresh(new Set((event.data as string).split(" ")));
  });
  source.addEventListener("open", shown);
  source.addEventListener("error", shown);
}

/** What the reader had in hand, by its place in the part that is replaced. */
const kept = new Map<string, { readonly at: number; readonly scrolled: readonly number[] }>();
const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";
const focusable = (part: Element): HTMLElement[] => [...part.querySelectorAll<HTMLElement>(FOCUSABLE)];
const scrolling = (part: Element): Element[] => [...part.querySelectorAll(".wide")];

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr } = (event as CustomEvent<{ target: Element; xhr: XMLHttpRequest; shouldSwap: boolean }>).detail;
  if (new URL(xhr.responseURL, location.href).pathname !== location.pathname) {
    // The session is over: the page itself goes to the door.
    (event as CustomEvent<{ shouldSwap: boolean }>).detail.shouldSwap = false;
    location.reload();
    return;
  }
  const at = document.activeElement instanceof HTMLElement ? focusable(target).indexOf(document.activeElement) : -1;
  kept.set(target.id, { at, scrolled: scrolling(target).map((one) => one.scrollLeft) });
});

/** A part that cannot be had says so, and can be asked for again. */
function failed(event: Event): void {
  const part = (event as CustomEvent<{ target?: unknown }>).detail.target;
  if (!(part instanceof HTMLElement) || part.getAttribute("aria-busy") !== "true") return;
  const [said, button] = [document.createElement("p"), document.createElement("button")];
  [said.className, said.textContent] = ["alert", "This part cannot be added up now. "];
  said.setAttribute("role", "alert");
  [button.type, button.textContent] = ["button", "Try again"];
  button.addEventListener("click", () => {
    said.remove();
    part.setAttribute("aria-busy", "true");
    htmx.trigger(part, "again");
  });
  said.append(button);
  part.setAttribute("aria-busy", "false");
  part.append(said);
}
for (const name of ["htmx:responseError", "htmx:sendError"]) document.addEventListener(name, failed);

function age(): void {
  const passedS = Math.floor((performance.now() - refreshedAt) / 1_000);
  for (const one of document.querySelectorAll<HTMLElement>("[data-age]")) one.textContent = spoken(Number(one.dataset["age"]) + passedS);
  for (const one of document.querySelectorAll<HTMLElement>("[data-left]")) one.textContent = spoken(Number(one.dataset["left"]) - passedS);
}

document.addEventListener("htmx:afterSwap", () => {
  for (const [id, { at, scrolled }] of kept) {
    const part = document.getElementById(id);
    if (part === null) continue;
    scrolling(part).forEach((one, number) => (one.scrollLeft = scrolled[number] ?? 0));
    if (at >= 0) focusable(part)[at]?.focus({ preventScroll: true });
    if (part.dataset["calm"] === undefined) refreshedAt = performance.now();
  }
  kept.clear();
});

if (body.dataset["after"] !== undefined) {
  open();
  setInterval(() => {
    if (document.hidden) return;
    if (!isOpen()) refresh();
    open();
    shown();
  }, WITHOUT_STREAM_MS);
  setInterval(() => {
    const slow = document.querySelector("[data-slow]") !== null;
    if (slow && !document.hidden && performance.now() - refreshedAt >= SLOW_MS) refresh();
  }, SLOW_MS / 4);
  // A page that nobody looks at keeps no connection: browsers have few for one server.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else open();
  });
}
if (document.querySelector("[data-age], [data-left]") !== null || body.dataset["after"] !== undefined) setInterval(age, 1_000);
