// The panel below the table of neurons: shows the neuron whose row is chosen.
const panels = JSON.parse(document.getElementById("panels").textContent);
const panel = document.getElementById("panel");
const PLOT = 220; // Pixels of a side.
const LABEL = 90; // Pixels left of the bars.

function svg(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.textContent = text;
  return made;
}
function block(title, ...parts) {
  const made = document.createElement("div");
  made.append(element("h3", title), ...parts);
  return made;
}
function listTokens(tokens) {
  const line = document.createElement("p");
  line.append(...tokens.map((token) => element("code", token)));
  return line;
}
function drawActivations({ range: [least, most], sampled }) {
  const steps = [...atob(sampled)].map((step) => step.charCodeAt(0) / 255);
  const count = steps.length / 2;
  const drawn = svg("svg", { width: PLOT + 40, height: PLOT + 40, role: "img" });
  drawn.setAttribute("aria-label", `Activations on ${count} prompts, before against after`);
  drawn.append(svg("rect", { x: 20, y: 10, width: PLOT, height: PLOT, fill: "none", stroke: "#ccc" }));
  drawn.append(svg("line", { x1: 20, y1: PLOT + 10, x2: PLOT + 20, y2: 10, stroke: "#999", "stroke-dasharray": 4 }));
  steps.slice(0, count).forEach((before, number) => {
    const place = { cx: 20 + before * PLOT, cy: 10 + (1 - steps[count + number]) * PLOT };
    const point = svg("circle", { ...place, r: 4, fill: "#00588F", "fill-opacity": 0.5 });
    point.append(svg("title", {}, panels.prompts[panels.sampled[number]]));
    drawn.append(point);
  });
  drawn.append(svg("text", { x: 20, y: PLOT + 26 }, least));
  drawn.append(svg("text", { x: PLOT + 20, y: PLOT + 26, "text-anchor": "end" }, most));
  drawn.append(svg("text", { x: PLOT / 2 + 20, y: PLOT + 26, "text-anchor": "middle" }, "before"));
  drawn.append(svg("text", { transform: `translate(14 ${PLOT / 2 + 10}) rotate(-90)`, "text-anchor": "middle" }, "after"));
  return drawn;
}
function drawSplit(neuron) {
  const names = ["reduction", "from_value", "from_key", "from_inputs", "from_text"];
  const largest = Math.max(...names.map((name) => Math.abs(neuron[name]))) || 1;
  const drawn = svg("svg", { width: LABEL + PLOT + 80, height: names.length * 22, role: "img" });
  drawn.setAttribute("aria-label", names.map((name) => `${name} ${neuron[name]}`).join(", "));
  const zero = LABEL + PLOT / 2;
  names.forEach((name, number) => {
    const value = Number(neuron[name]);
    const width = (Math.abs(value) / largest) * (PLOT / 2);
    const y = number * 22;
    // The part that is other text belongs to that of the inputs.
    drawn.append(svg("text", { x: name === "from_text" ? 14 : 0, y: y + 14 }, name));
    drawn.append(svg("rect", { x: value < 0 ? zero - width : zero, y: y + 4, width, height: 12, fill: value < 0 ? "#D55E00" : "#00588F" }));
    drawn.append(svg("text", { x: LABEL + PLOT + 8, y: y + 14 }, value));
  });
  drawn.append(svg("line", { x1: zero, x2: zero, y1: 0, y2: names.length * 22, stroke: "#999" }));
  return drawn;
}
function listPrompts({ changed }) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  head.append(...["prompt", "before", "after"].map((name) => element("th", name)));
  const body = table.createTBody();
  changed.forEach(([prompt, before, after]) => {
    const line = body.insertRow();
    [panels.prompts[prompt], before, after].forEach((text) => cell(line, text));
  });
  return table;
}
function showNeuron(neuron) {
  const shown = panels.neurons[`${neuron.layer}.${neuron.neuron}`];
  if (!shown) return;
  const [place, count] = shown.place;
  const columns = document.createElement("div");
  columns.className = "columns";
  columns.append(
    block("Split of its reduction", drawSplit(neuron)),
    block("Activation, prompt by prompt", drawActivations(shown)),
    block("Where its activation changed most", listPrompts(shown)),
  );
  panel.replaceChildren(
    block(`Layer ${neuron.layer}, neuron ${neuron.neuron}`),
    element("p", `Group ${neuron.group}: number ${place} of ${count} by the size of its reduction. Rank among all neurons: ${neuron.rank}.`),
    block("Promotes", listTokens(shown.promoted)),
    block("Suppresses", listTokens(shown.suppressed)),
    columns,
  );
  panel.hidden = false;
}
makeRowsSelectable("neurons", showNeuron);
