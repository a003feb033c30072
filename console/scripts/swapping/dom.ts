/** Small hands for the document. Text is set as text alone: nothing that came from outside becomes markup. */
export function one<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

type Child = Node | string | undefined;

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Readonly<Record<string, string>> = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

/** Set a text where it changed: what is marked or read aloud stays undisturbed. */
export function say(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node: HTMLElement, shown: boolean): void {
  if (node.hidden === shown) node.hidden = !shown;
}

export function button(text: string, act: () => unknown, kind = ""): HTMLButtonElement {
  const made = make("button", { type: "button", ...(kind === "" ? {} : { class: kind }) }, text);
  made.addEventListener("click", () => void act());
  return made;
}

/** An identifier, shortened in its middle, with its whole text to copy. */
export function identifier(text: string, chars = 18): HTMLElement {
  const short = text.length <= chars ? text : `${text.slice(0, Math.ceil(chars * 0.6))}…${text.slice(-Math.floor(chars * 0.4))}`;
  const copy = make("button", { type: "button", class: "copy", "aria-label": `Copy ${text}`, title: "Copy" });
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(text).then(() => {
      copy.classList.add("done");
      setTimeout(() => copy.classList.remove("done"), 1_000);
    });
  });
  return make("span", { class: "id" }, make("span", { title: text }, short), " ", copy);
}

export function rows(...pairs: readonly (readonly [string, Child] | undefined)[]): HTMLDListElement {
  const list = make("dl");
  for (const pair of pairs) if (pair !== undefined) list.append(make("dt", {}, pair[0]), make("dd", {}, pair[1]));
  return list;
}
