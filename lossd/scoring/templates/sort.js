"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, k) => row.cells[k].dataset.value ?? row.cells[k].textContent;
  const order = (a, b) => {
    const x = parseFloat(a), y = parseFloat(b), numbers = [isNaN(x), isNaN(y)];
    if (numbers[0] || numbers[1]) return numbers[0] - numbers[1] || a.localeCompare(b);
    return x - y;
  };
  heads.forEach((head, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * order(key(a, k), key(b, k)));
      body.append(...rows);
    });
  });
}
