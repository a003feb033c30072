/** On a narrow screen a table's rows are cards: each cell then says itself what column it is of (console.css). */
const ROLES = [["table", "table"], ["thead, tbody", "rowgroup"], ["tr", "row"], ["th", "columnheader"], ["td", "cell"]] as const;

export function labelled(within: ParentNode): void {
  for (const table of within.querySelectorAll<HTMLTableElement>(".wide > table:not(.cards-ready)")) {
    // A table with heads of rows is read across: it stays one, and scrolls.
    if (table.querySelector("tbody th") !== null) continue;
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
    for (const row of table.tBodies[0]?.rows ?? []) {
      [...row.cells].forEach((cell, place) => {
        if (cell.colSpan > 1) return;
        cell.dataset["label"] = heads[place] ?? "";
        cell.classList.toggle("nothing", cell.textContent.trim() === "" && cell.childElementCount === 0);
      });
    }
    // Browsers forget what a table is once it is laid out otherwise.
    for (const [selector, role] of ROLES) for (const part of selector === "table" ? [table] : table.querySelectorAll(selector)) part.setAttribute("role", role);
    table.classList.add("cards-ready");
  }
}
