"""The script that travels inside every page and notebook view: it switches what is shown, and how."""

import json

import numpy as np

from seglens.viz.colours import table
from seglens.viz.live import LEVELS, PREDICTED, REGION, TRUE, UNDEFINED
from seglens.viz.picture import GROWTH, HATCH


def _hex(kind: str) -> str:
    return np.rint(table(kind) * 255).astype(np.uint8).tobytes().hex()  # pyright: ignore[reportArgumentType]


_KNOWN = json.dumps(
    {
        "levels": LEVELS,
        "undefined": UNDEFINED,
        "region": REGION,
        "predicted": PREDICTED,
        "real": TRUE,
        "growth": GROWTH,
        "hatch": HATCH[:, 0].tolist(),
        "sequential": _hex("sequential"),
        "diverging": _hex("diverging"),
    }
)

# Without a script the page is complete but still; the controls appear when something answers them.
# `draw` repeats `display.show` and `picture.rgba` on what `live.encoded` wrote down; a test holds them equal.
SCRIPT = (
    """
(() => {
  const known = """
    + _KNOWN
    + """;
  const bytes = (hex) => hex.match(/../g).map((two) => parseInt(two, 16));
  const both = bytes(known.diverging);
  const colours = {sequential: bytes(known.sequential), diverging: both, negative: both.slice(0, both.length / 2)};
  const number = (v) => {
    const [mantissa, power] = v.toExponential(2).split("e");
    const raised = [...String(+power)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
    const plain = v === 0 || (+power >= -4 && +power < 3);
    return (plain ? String(+v.toPrecision(3)) : +mantissa + "×10" + raised).replace("-", "−");
  };
  const canvas = (width, height) => Object.assign(document.createElement("canvas"), {width, height});
  const read = (map) => (map.seglens ??= new Promise((done) => {
    const picture = new Image();
    picture.onload = () => {
      const {width, height} = picture;
      const sheet = canvas(width, height).getContext("2d");
      sheet.drawImage(picture, 0, 0);
      const code = sheet.getImageData(0, 0, width, height).data;
      const values = new Float64Array(width * height);
      for (let i = 0; i < values.length; i++) {
        const level = 16 * code[4 * i] + (code[4 * i + 1] >> 4) - known.levels - 1;
        values[i] = Math.sign(level) * (level / known.levels) ** 2 * map.dataset.largest;
      }
      done({width, height, values, flag: (i) => code[4 * i + 1] & 15});
    };
    picture.src = map.dataset.values;
  }));
  const places = {
    "": () => true,
    region: (f) => f & known.region,
    prediction: (f) => f & known.predicted,
    truth: (f) => f & known.real,
    both: (f) => f & known.predicted && f & known.real,
    either: (f) => f & (known.predicted | known.real),
  };
  const parts = {
    all: (v) => v, positive: (v) => Math.max(v, 0), negative: (v) => Math.min(v, 0), absolute: Math.abs,
  };
  const url = (width, height, pixels) => {
    const sheet = canvas(width, height);
    sheet.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    return sheet.toDataURL();
  };
  const draw = async (article) => {
    const map = article.querySelector(".map[data-values]");
    if (!map) return;
    const {width, height, values, flag} = await read(map);
    const input = (name) => article.querySelector('[name="' + name + '"]');
    const chosen = (name) => (input(name) || {value: map.dataset[name]}).value;
    const [part, within] = [chosen("part"), chosen("within")];
    const shown = values.map(parts[part]);
    const inside = (i) => places[within](flag(i));
    const defined = (i) => !(flag(i) & known.undefined);
    const sizes = shown.map((v, i) => (inside(i) && defined(i) ? Math.abs(v) : 0)).filter((v) => v > 0).sort();
    const at = (chosen("percentile") / 100) * (sizes.length - 1);
    const [low, high] = [sizes[Math.floor(at)], sizes[Math.ceil(at)]];
    const limit = low + (high - low) * (at - Math.floor(at));
    const below = shown.some((v, i) => v < 0 && inside(i) && defined(i));
    const kind = !sizes.length ? "none" : part === "negative" ? "negative" : below ? "diverging" : "sequential";
    const table = colours[kind];
    const pixels = new Uint8ClampedArray(4 * width * height);
    for (let i = 0; i < shown.length; i++) {
      if (!inside(i)) continue;
      if (!defined(i)) {
        const shade = known.hatch[Math.floor(((i % width) + Math.floor(i / width)) / map.dataset.band) % 2];
        pixels.set([shade, shade, shade, 255], 4 * i);
      } else if (table) {
        const t = Math.min(Math.max(shown[i] / limit, -1), 1);
        const place = kind === "diverging" ? (t + 1) / 2 : kind === "negative" ? t + 1 : t;
        const from = 3 * Math.round(place * (table.length / 3 - 1));
        const strength = map.dataset.even ? 1 : Math.abs(t) ** known.growth;
        pixels.set([table[from], table[from + 1], table[from + 2], Math.round(255 * strength)], 4 * i);
      }
    }
    map.setAttribute("href", url(width, height, pixels));
    const under = article.querySelector(".below");
    under.dataset.filter = map.dataset[kind];
    if (under.hasAttribute("filter")) under.setAttribute("filter", map.dataset[kind]);
    const figure = map.closest("figure");
    const say = (name) => input(name) ? input(name).selectedOptions[0].text.toLowerCase() : "";
    const what = [part === "all" ? "" : say("part"), within && "only " + say("within")].filter(Boolean).join(", ");
    const state = figure.querySelector(".state");
    state.hidden = Boolean(table);
    state.textContent = table ? "" : "Nothing to show: " + (what || "the map is zero") + ".";
    figure.querySelector(".scale").hidden = !table;
    const told = [];
    if (table) {
      const unit = map.dataset.unit;
      const ends = {sequential: [0, limit], diverging: [-limit, 0, limit], negative: [-limit, 0]}[kind].map(number);
      figure.querySelector(".ends").replaceChildren(
        ...ends.map((end) => Object.assign(document.createElement("span"), {textContent: end})));
      const bar = figure.querySelector(".bar");
      bar.setAttribute("aria-label", "Colour bar from " + ends[0] + " to " + ends.at(-1) + " " + unit);
      const steps = new Uint8ClampedArray((4 * table.length) / 3)
        .map((_, i) => (i % 4 < 3 ? table[3 * (i >> 2) + (i % 4)] : 255));
      bar.querySelector("image").setAttribute("href", url(table.length / 3, 1, steps));
      if (sizes.at(-1) > limit && number(sizes.at(-1)) !== number(limit))
        told.push("Colours end at " + number(kind === "negative" ? -limit : limit) + " " + unit +
          "; the greatest absolute value is " + number(sizes.at(-1)) + ".");
      if (what) told.push("Shown: " + what + "; the colours fit what is shown.");
    }
    figure.querySelector(".told").textContent = told.join(" ");
  };
  // The slider may move faster than large maps are drawn: only its last place counts.
  const redraw = (article) => {
    clearTimeout(article.seglens);
    article.seglens = setTimeout(() => draw(article));
  };
  for (const box of document.querySelectorAll(".seglens .controls[hidden]")) {
    const scope = box.closest("article") || box.closest(".seglens");
    const cards = scope.matches("article") ? [scope] : scope.querySelectorAll("article");
    const set = (name, input) => {
      for (const other of scope.querySelectorAll('[name="' + name + '"]')) {
        if (other.type === "checkbox") other.checked = input.checked;
        else if (other.type === "range") other.value = input.value;
        else if ([...other.options].some((o) => o.value === input.value && !o.disabled)) other.value = input.value;
        const told = other.parentElement.querySelector("output");
        if (told) told.textContent = other.value + (name === "slice" ? "" : " %");
      }
      if (name === "slice")
        for (const view of scope.querySelectorAll(".slices")) {
          const [left, , width, height] = view.getAttribute("viewBox").split(" ").map(Number);
          view.setAttribute("viewBox", [left, input.value * (height + 1), width, height].join(" "));
        }
      else if (name === "opacity")
        for (const map of scope.querySelectorAll(".map")) map.style.opacity = input.value / 100;
      else if (name === "edge")
        for (const one of cards) one.classList.toggle("no-edge", !input.checked);
      else if (name === "grey")
        for (const below of scope.querySelectorAll(".below"))
          if (input.checked) below.setAttribute("filter", below.dataset.filter);
          else below.removeAttribute("filter");
      else cards.forEach(redraw);
    };
    for (const input of box.querySelectorAll("input, select"))
      input.addEventListener("input", () => set(input.name, input));
    box.hidden = false;
  }
})();
"""
)
