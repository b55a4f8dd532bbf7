// Sorts a table by a column; a second click turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") !== "descending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => key(a).localeCompare(key(b), undefined, { numeric: true }));
      if (rows.length && rows[0].cells[column].dataset.value !== undefined) rows.sort((a, b) => key(a) - key(b));
      if (descending) rows.reverse();
      body.append(...rows);
    });
  });
}

// A table that is wider than the screen says so, until its last column is in sight.
for (const box of document.querySelectorAll(".scroll")) {
  const tell = () => {
    box.classList.toggle("wider", box.scrollWidth > box.clientWidth + 1);
    box.classList.toggle("ended", box.scrollLeft + box.clientWidth >= box.scrollWidth - 1);
  };
  new ResizeObserver(tell).observe(box);
  box.addEventListener("scroll", tell, { passive: true });
  tell();
}

// What another least confidence would do: the numbers are in the page.
const slider = document.querySelector(".slider");
if (slider) {
  const rows = JSON.parse(slider.dataset.curve);
  const input = slider.querySelector("input");
  const percent = (share, digits = 0) => (100 * share).toFixed(digits) + "\u00a0%";
  const tell = () => {
    const [threshold, coverage, n, right, low, high] = rows[Number(input.value)];
    slider.querySelector("output").textContent = threshold.toFixed(2);
    const unknown = Number(slider.dataset.total) - n;
    const digits = high - low < 0.05 ? 1 : 0;
    const [share, from, to] = [right, low, high].map((value) => percent(value, digits));
    const rest = right === null ? "" : ` Of the answers ${share} are correct (${from} to ${to}).`;
    slider.querySelector("p").textContent =
      `${n.toLocaleString("en")} images are answered (${percent(coverage, slider.dataset.total < 1000 ? 0 : 1)}), ${unknown.toLocaleString("en")} are unknown.${rest}`;
  };
  input.addEventListener("input", tell);
  slider.hidden = false;
  tell();
}

// The images behind a cell of the confusion matrix.
const behind = document.getElementById("behind");
if (behind) {
  const { images, cells, names } = JSON.parse(behind.textContent);
  const dialog = document.getElementById("cells");
  for (const button of document.querySelectorAll("button.cell")) {
    button.addEventListener("click", () => {
      const { n, shown } = cells[button.dataset.cell];
      const [label, said] = button.dataset.cell.split("-").map((place) => names[place]);
      dialog.querySelector("h3").textContent = label === said ? `${label}, correct` : `${label} taken for ${said}`;
      const few = shown.length < n ? `; the ${shown.length} most confident that this page holds` : ", the most confident first";
      dialog.querySelector("p").textContent = n === 1 ? "1 image" : `${n} images${few}`;
      dialog.querySelector("div").replaceChildren(...shown.map(([number, path, confidence]) => {
        const figure = document.createElement("figure");
        const image = document.createElement("img");
        image.src = images[number];
        image.alt = `${path}: true ${label}, predicted ${said}`;
        const caption = document.createElement("figcaption");
        const sure = document.createElement("b");
        sure.textContent = (100 * confidence).toFixed(1) + "\u00a0%";
        const name = document.createElement("span");
        name.className = "path";
        name.textContent = path;
        caption.append(sure, name);
        figure.append(image, caption);
        return figure;
      }));
      dialog.showModal();
    });
  }
}

// A point of the map shows its image.
const map = document.querySelector(".map");
if (map) {
  const tip = map.querySelector(".tip");
  map.addEventListener("pointermove", ({ target, clientX, clientY }) => {
    tip.hidden = target.tagName !== "circle";
    if (tip.hidden) return;
    const { label, said, path, uri } = target.dataset;
    const image = tip.querySelector("img");
    image.hidden = !uri;
    if (uri) image.src = uri;
    tip.querySelector("span").textContent = `${label}${said === label ? "" : `, taken for ${said}`}: ${path}`;
    const box = map.getBoundingClientRect();
    tip.style.left = `${Math.min(clientX - box.left + 14, box.width - 200)}px`;
    tip.style.top = `${clientY - box.top + 14}px`;
  });
  map.addEventListener("pointerleave", () => { tip.hidden = true; });
}
