// Classifies images on this device: decodes, turns upright and hands the pixels to model.onnx, which does the rest.
import * as ort from "./ort.js";

const MOST_PIXELS = 16_000_000; // some phones have no larger canvas; more is scaled down first
const SHOWN = 5; // classes of a result; the others are one press away
const $ = (id) => document.getElementById(id);
const canvas = document.createElement("canvas");
const surface = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
let session = null;
let bundle = null;
let turn = Promise.resolve(); // one image after the other
const results = [];

const percent = (share) => {
  const value = 100 * share;
  return `${value > 99 && value < 100 ? "> 99" : value > 0 && value < 1 ? "< 1" : Math.round(value)} %`;
};
const say = (text) => { $("status").textContent = text; };

function make(kind, className, text) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// -- loading --------------------------------------------------------------------------------------------------------

async function load(name, facts, onBytes) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
  const parts = [];
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    onBytes(value.length);
  }
  const data = await new Blob(parts).arrayBuffer();
  if (globalThis.crypto?.subtle) { // where the page comes by HTTPS, or from this device
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== facts.sha256) throw new Error(`${name} is not the file that was exported`);
  }
  return data;
}

async function start() {
  const [facts, about] = await Promise.all(["files.json", "classifier.json"].map(async (name) => {
    const response = await fetch(name);
    if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
    return response.json();
  }));
  bundle = about;
  describe();
  const total = facts["ort.wasm"].bytes + facts["model.onnx"].bytes;
  let loaded = 0;
  say(`Loading ${Math.round(total / 1e6)} MB …`);
  const onBytes = (count) => { loaded += count; $("loading").value = Math.min(1, loaded / total); };
  const [wasm, model] = await Promise.all(
    ["ort.wasm", "model.onnx"].map((name) => load(name, facts[name], onBytes)));
  ort.env.wasm.numThreads = 1; // threads need headers that a plain server does not send
  ort.env.wasm.wasmBinary = wasm;
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  $("loading").hidden = true;
  $("files").disabled = false;
  $("camera").disabled = false;
  say("Ready.");
  if (!readsTruly()) {
    $("warning").hidden = false;
    $("warning").textContent =
      "This browser changes the pixels of images against fingerprinting, so answers may be wrong. Allow this page to read canvases.";
  }
  document.documentElement.dataset.ready = "yes";
}

function describe() {
  const { classes, min_confidence: least, target_error: error } = bundle;
  $("count").textContent = classes.length === 1 ? "1 class" : `${classes.length} classes`;
  $("known").open = classes.length <= 20;
  $("classes").replaceChildren(...classes.map((name) => make("li", "", name)));
  $("facts").textContent = `${bundle.model}, exported ${bundle.created.slice(0, 10)}. Licence of its starting weights: ${bundle.licence}.`;
  if (least !== null) {
    $("advice").hidden = false;
    $("advice").textContent = `From ${percent(least)} on, at most ${percent(error)} of answers were wrong on validation images.`;
  }
}

function readsTruly() { // some browsers add noise to what a page reads from a canvas
  canvas.width = canvas.height = 16;
  const given = surface.createImageData(16, 16);
  given.data.forEach((_, k) => { given.data[k] = k % 4 === 3 ? 255 : (k * 37) % 256; });
  surface.putImageData(given, 0, 0);
  return surface.getImageData(0, 0, 16, 16).data.every((level, k) => level === given.data[k]);
}

// -- classifying ----------------------------------------------------------------------------------------------------

function pixelsOf(source, width, height) {
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  surface.fillStyle = `rgb(${bundle.preprocess.background.join(" ")})`; // behind what is transparent
  surface.fillRect(0, 0, canvas.width, canvas.height);
  surface.imageSmoothingQuality = "high";
  surface.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = surface.getImageData(0, 0, canvas.width, canvas.height);
  const rgb = new Uint8Array(3 * canvas.width * canvas.height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from];
    rgb[to++] = data[from + 1];
    rgb[to++] = data[from + 2];
  }
  return new ort.Tensor("uint8", rgb, [canvas.height, canvas.width, 3]);
}

let running = Promise.resolve();
function alone(work) { // the model computes one image at a time
  const mine = running.then(work);
  running = mine.catch(() => {});
  return mine;
}

async function answer(source, width, height) {
  const image = pixelsOf(source, width, height);
  const begun = performance.now();
  const said = await alone(() => session.run({ image }));
  const probabilities = Array.from(said.probabilities.data);
  return { probabilities, novelty: said.novelty.data[0], milliseconds: performance.now() - begun };
}

async function classifyFile(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  try {
    return await answer(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

// What sightline predict says: unknown where an image is unlike the training images, or less sure than asked for.
function judge({ probabilities, novelty }) {
  const order = probabilities.map((_, k) => k).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const label = bundle.classes[order[0]];
  const confidence = probabilities[order[0]];
  const limit = bundle.max_novelty ?? Infinity;
  const unknown = novelty > limit ? "new" : confidence < $("least").value / 100 ? "unsure" : "";
  return { order, label, confidence, unknown, answer: unknown ? "unknown" : label };
}

// -- showing --------------------------------------------------------------------------------------------------------

function barOf(name, share) {
  const row = make("li");
  const bar = make("div", "bar");
  const filled = make("span");
  filled.style.width = `${100 * share}%`;
  bar.append(filled);
  row.append(make("span", "class", name), make("span", "share", percent(share)), bar);
  return row;
}

function show(result) {
  const told = result.card.querySelector(".told");
  const parts = [make("p", "name", result.name)];
  if (result.error) {
    parts.push(make("p", "answer bad", "This file can’t be read as an image."));
  } else {
    const { order, label, confidence, unknown, answer } = judge(result.said);
    parts.push(make("p", `answer ${unknown ? "unknown" : ""}`, `${answer}${unknown ? "" : `, ${percent(confidence)}`}`));
    const why = { new: "Unlike the training images", unsure: "Less sure than asked for" }[unknown];
    if (why) parts.push(make("p", "why", `${why}. Nearest: ${label}, ${percent(confidence)}.`));
    const bars = order.map((k) => barOf(bundle.classes[k], result.said.probabilities[k]));
    const list = make("ul", "bars");
    list.append(...bars.slice(0, SHOWN));
    parts.push(list);
    if (bars.length > SHOWN) {
      const more = make("details");
      const rest = make("ul", "bars");
      rest.append(...bars.slice(SHOWN));
      more.append(make("summary", "", `${bars.length - SHOWN} more classes`), rest);
      parts.push(more);
    }
    parts.push(make("p", "why", `${Math.round(result.said.milliseconds)} ms`));
    result.card.dataset.label = label;
    result.card.dataset.answer = answer;
    result.card.dataset.confidence = confidence;
    result.card.dataset.milliseconds = result.said.milliseconds;
  }
  told.replaceChildren(...parts);
}

function addCard(name, image) {
  const card = make("li");
  const thumbnail = make("img");
  thumbnail.alt = name;
  thumbnail.src = URL.createObjectURL(image);
  thumbnail.addEventListener("error", () => { thumbnail.hidden = true; });
  card.append(thumbnail, make("div", "told"));
  card.querySelector(".told").append(make("p", "name", name), make("p", "why", "Waiting …"));
  card.dataset.name = name;
  $("list").prepend(card);
  $("none").hidden = true;
  $("clear").hidden = false;
  return card;
}

function take(files) {
  if (!session) return;
  $("known").open = false; // results are what matters now, and a phone is small
  if ($("results").getBoundingClientRect().top > 0.6 * innerHeight) $("results").scrollIntoView();
  const given = [...files].map((file, k) => {
    const name = file.name || `image ${results.length + k + 1}`;
    return { name, file, card: addCard(name, file) };
  });
  turn = turn.then(async () => {
    for (const [k, result] of given.entries()) {
      if (given.length > 1) say(`Image ${k + 1} of ${given.length} …`);
      await new Promise((done) => setTimeout(done)); // the page stays responsive
      try {
        result.said = await classifyFile(result.file);
      } catch (error) {
        console.warn(error);
        result.error = true;
      }
      results.push(result);
      show(result);
    }
    if (given.length === 1) {
      const [{ name, said }] = given;
      const told = said && judge(said);
      const nearest = told?.unknown ? ` (nearest: ${told.label})` : "";
      say(told ? `${name}: ${told.answer}${nearest}, ${percent(told.confidence)}.` : `${name} can’t be read as an image.`);
    } else if (given.length) {
      say(`${given.length} images done.`);
    }
    document.documentElement.dataset.done = results.length;
  });
}

// -- the camera -----------------------------------------------------------------------------------------------------

let stream = null;

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    say("No camera here: a browser allows it on pages that come by HTTPS, or from this device.");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    say(`The camera can’t be used: ${error.message}`);
    return;
  }
  $("video").srcObject = stream;
  await $("video").play();
  $("film").hidden = false;
  $("drop").hidden = true;
  $("snap").focus();
  say("The camera is on.");
  while (stream) { // what it sees now, as fast as this device computes
    const video = $("video");
    if (video.videoWidth) {
      const said = await answer(video, video.videoWidth, video.videoHeight);
      const told = judge(said);
      $("live").textContent = told.unknown ? `unknown (${told.label}?)` : `${told.label}, ${percent(told.confidence)}`;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("film").hidden = true;
  $("drop").hidden = false;
  $("camera").focus();
  say("The camera is off.");
}

function snap() {
  const video = $("video");
  const still = document.createElement("canvas");
  still.width = video.videoWidth;
  still.height = video.videoHeight;
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob((blob) => take([new File([blob], `camera ${new Date().toLocaleTimeString()}`, { type: "image/png" })]));
}

// -- events ---------------------------------------------------------------------------------------------------------

$("files").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
$("camera").addEventListener("click", openCamera);
$("stop").addEventListener("click", closeCamera);
$("snap").addEventListener("click", snap);
$("clear").addEventListener("click", () => {
  for (const image of $("list").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  results.length = 0;
  $("list").replaceChildren();
  $("none").hidden = false;
  $("clear").hidden = true;
  $("files").focus();
  say("Ready.");
});
$("least").addEventListener("input", () => {
  $("least-shown").textContent = `${$("least").value} %`;
  results.forEach(show);
});
document.addEventListener("paste", (event) => {
  const images = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  if (images.length) take(images);
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});

start().catch((error) => {
  $("loading").hidden = true;
  say(`This page can’t start: ${error.message}`);
  document.documentElement.dataset.ready = "no";
});
