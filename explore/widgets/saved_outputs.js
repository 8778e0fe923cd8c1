// What a notebook file holds of an explorer: a still picture of its present state.
//
// A widget view in a file is an error as soon as its kernel is gone ("model not found"), and readers such as GitHub cannot show it.
// So whenever JupyterLab or Notebook turns the notebook into a file, the views of explorers are replaced by what they show then:
// the picture, its text, and the reader's prediction. Nothing changes on the page. Other front ends have no such notebook model, and
// keep what the kernel sent when the cell ran.
const FIGURES = Symbol.for("explore.figures");
const VIEW = "application/vnd.jupyter.widget-view+json";

function keepStill(model) {
  const notebook = model.widget_manager?.context?.model;
  if (typeof notebook?.toJSON !== "function") return;
  if (!notebook[FIGURES]) {
    const figures = (notebook[FIGURES] = new Set());
    const original = notebook.toJSON;
    notebook.toJSON = function () {
      const content = original.call(this);
      try {
        return { ...content, cells: content.cells.map((cell) => stillCell(cell, figures)) };
      } catch (error) {
        console.warn("explore: the pictures of explorers are not saved in their present state", error);
        return content;
      }
    };
  }
  notebook[FIGURES].add(model);
}

function stillCell(cell, figures) {
  if (!Array.isArray(cell.outputs)) return cell;
  return { ...cell, outputs: cell.outputs.map((output) => stillOutput(output, figures)) };
}

function stillOutput(output, figures) {
  const root = output.data?.[VIEW]?.model_id;
  const shown = root ? [...figures].filter((model) => model.get("root") === root && model.get("alt")) : [];
  if (!shown.length) return output;
  const { [VIEW]: _, ...data } = output.data;
  const pictures = shown.map((model) => base64(model.get("still")?.byteLength ? model.get("still") : model.get("png")));
  data["text/html"] = shown.map((model, k) => stillHtml(model, pictures[k])).join("\n");
  data["image/png"] = pictures[0];
  data["text/plain"] = shown.map((model) => [model.get("note"), model.get("alt")].filter(Boolean).join("\n")).join("\n");
  return { ...output, data };
}

function stillHtml(model, png) {
  const text = (value) => value.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const note = model.get("note");
  return model.get("template")
    .replace("%NOTE%", () => (note ? `<p>${text(note)}</p>\n` : ""))
    .replace("%ALT%", () => text(model.get("alt")))
    .replace("%PNG%", () => png);
}

function base64(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  let text = "";
  for (let start = 0; start < bytes.length; start += 32768) text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  return btoa(text);
}
