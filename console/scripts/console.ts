/** What every page does: copies identifiers, shows the reader's own times, and keeps marked parts fresh (htmx). */
import htmx from "htmx.org";
import "./parts/live.js";
import { labelled } from "./parts/tables.js";

// The Content-Security-Policy allows neither inline styles nor evaluated code.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
htmx.config.allowScriptTags = false;
htmx.config.selfRequestsOnly = true;

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>("button.copy") : null;
  if (button === null) return;
  void navigator.clipboard.writeText(button.dataset["copy"] ?? "").then(() => {
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1_000);
  });
});

document.addEventListener("click", (event) => {
  if (event.target instanceof Element && event.target.closest("#print") !== null) print();
});

function localTimes(within: ParentNode): void {
  for (const one of within.querySelectorAll<HTMLTimeElement>("time[datetime]")) {
    one.title = new Date(one.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  }
}

const menuButton = document.querySelector<HTMLButtonElement>("#menu-button");
if (menuButton !== null) {
  // Without this script the menu is simply there.
  const turn = (open: boolean): void => {
    document.body.classList.toggle("menu-shut", !open);
    menuButton.setAttribute("aria-expanded", String(open));
  };
  menuButton.hidden = false;
  turn(false);
  menuButton.addEventListener("click", () => turn(document.body.classList.contains("menu-shut")));
}

const dress = (): void => (localTimes(document), labelled(document));
dress();
document.addEventListener("htmx:afterSettle", dress);
document.addEventListener("htmx:sendError", () => document.body.classList.add("stale"));
document.addEventListener("htmx:afterOnLoad", () => document.body.classList.remove("stale"));
