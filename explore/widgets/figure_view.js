// A picture with alternative text, parts that can be chosen, the value under the pointer, and buttons for the explorer.
export default {
  initialize({ model }) {
    keepStill(model);
  },
  render({ model, el }) {
    const figure = element("div", { className: "explore-figure" });
    const note = element("p", { className: "explore-note" });
    const scroll = element("div", { className: "explore-scroll" });
    const frame = element("div", { className: "explore-frame" });
    const picture = element("img");
    const layer = element("div", { className: "explore-parts" });
    const tip = element("div", { className: "explore-tip" });
    const caption = element("div", { className: "explore-caption" });
    const spoken = element("div", { className: "explore-spoken" });
    const tools = element("div", { className: "explore-tools" });
    note.setAttribute("role", "status");
    caption.setAttribute("aria-hidden", "true"); // the same text as that of the picture, for the eye
    spoken.setAttribute("role", "status");
    layer.setAttribute("role", "group");
    layer.setAttribute("aria-label", "parts of the picture that can be chosen; arrow keys move, Enter chooses");
    scroll.tabIndex = -1;
    tip.setAttribute("aria-hidden", "true");
    frame.append(picture, layer, tip);
    scroll.append(frame);
    figure.append(note, scroll, caption, spoken, tools);
    el.append(figure);

    let url, rest, current = 0;
    function draw() {
      const old = url;
      url = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
      picture.src = url;
      picture.alt = model.get("alt");
      note.textContent = model.get("note");
      note.hidden = !model.get("note");
      if (old) URL.revokeObjectURL(old);
      clearTimeout(rest);
      rest = setTimeout(settle, 400); // when a slider rests, not while it moves
    }

    function settle() {
      caption.textContent = picture.alt;
      spoken.textContent = picture.alt;
      setTimeout(() => { spoken.textContent = ""; }, 5000); // a reader that walks through the page finds the text once
      model.send({ do: "rest" });
    }

    // Text is drawn for the natural size. Below `least` pixels it would be too small, so the picture scrolls.
    picture.onload = () => {
      frame.style.maxWidth = `${picture.naturalWidth}px`;
      frame.style.minWidth = `${Math.min(picture.naturalWidth, Math.ceil(picture.naturalWidth * model.get("least")))}px`;
    };

    function choose(index) {
      model.set("chosen", { index, count: ((model.get("chosen") || {}).count || 0) + 1 });
      model.save_changes();
    }

    // One tab stop for all targets: arrow keys move among them, Enter or Space chooses, as in a toolbar.
    function focus(index) {
      const parts = layer.children;
      if (!parts.length) return;
      parts[current] && (parts[current].tabIndex = -1);
      current = (index + parts.length) % parts.length;
      parts[current].tabIndex = 0;
      parts[current].focus();
    }

    function lay() {
      const targets = model.get("targets");
      layer.hidden = !targets.length;
      const focused = layer.contains(document.activeElement);
      layer.replaceChildren(...targets.map((target, index) => {
        const part = element("button", { type: "button", tabIndex: -1 });
        part.setAttribute("aria-label", target.label);
        part.style.cssText = `left:${100 * target.left}%;top:${100 * target.top}%;` +
          `width:${100 * (target.right - target.left)}%;height:${100 * (target.bottom - target.top)}%`;
        part.onclick = () => { focus(index); choose(index); };
        return part;
      }));
      current = Math.min(current, Math.max(0, targets.length - 1));
      if (layer.children[current]) {
        layer.children[current].tabIndex = 0;
        if (focused) layer.children[current].focus();
      }
    }

    // JupyterLab has shortcuts on the arrow keys, and sees keys before the parts do; so this comes before both.
    function onKey(event) {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!move || !layer.contains(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      focus(current + move);
    }
    window.addEventListener("keydown", onKey, true);

    // Dragging, where the kernel asks for it (tracks). The pointer is caught only once it has moved, for a caught pointer takes
    // the click away from the part that it is on. Without a button down, the kernel is asked for the value under the pointer.
    let from = null, caught = false, asked = 0, place = null;
    function tell(kind, event) {
      const box = frame.getBoundingClientRect();
      const at = (value, low, size) => Math.min(1, Math.max(0, (value - low) / size));
      place = { x: at(event.clientX, box.left, box.width), y: at(event.clientY, box.top, box.height) };
      model.set("pointer", { kind, ...place });
      model.save_changes();
    }
    frame.addEventListener("pointerdown", (event) => {
      if (!model.get("tracks") || event.button) return;
      from = event;
      caught = false;
      tell("down", event);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!from) {
        clearTimeout(asked);
        if (event.pointerType === "mouse") asked = setTimeout(() => tell("hover", event), 60);
        return;
      }
      if (!caught && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < 4) return;
      if (!caught) frame.setPointerCapture(event.pointerId);
      caught = true;
      tell("move", event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      frame.addEventListener(end, (event) => {
        if (from) tell("up", event);
        from = null;
      });
    }
    frame.addEventListener("pointerleave", () => { clearTimeout(asked); tip.hidden = true; });
    frame.addEventListener("dragstart", (event) => event.preventDefault());
    frame.style.touchAction = model.get("tracks") ? "none" : "auto"; // a finger drags the handle, not the page

    function hover() {
      const text = model.get("hover");
      tip.hidden = !text || !place;
      if (tip.hidden) return;
      tip.textContent = text;
      tip.style.cssText = (place.x < 0.6 ? `left:calc(${100 * place.x}% + 12px)` : `right:calc(${100 - 100 * place.x}% + 12px)`) +
        `;top:calc(${100 * place.y}% + 12px)`;
    }
    tip.hidden = true;

    // The buttons under the picture. The browser copies and downloads, as a reader may not reach the folder of the server.
    const format = element("select");
    format.setAttribute("aria-label", "format of the saved picture");
    for (const kind of model.get("formats")) format.append(element("option", { value: kind, textContent: kind.toUpperCase() }));
    const button = (label, title, action) => {
      const part = element("button", { type: "button", textContent: label, title });
      part.onclick = action;
      tools.append(part);
      return part;
    };
    const ask = (name, more = {}) => () => model.send({ do: name, ...more });
    if (model.get("formats").length) {
      button("Reset", "Set all controls back to their start", ask("reset"));
      if (model.get("drags")) button("Undo", "Go back to before the last drag", ask("undo"));
      const numbers = button("Numbers", "Show or hide the plotted numbers as a table", () => {
        const pressed = numbers.getAttribute("aria-pressed") !== "true";
        numbers.setAttribute("aria-pressed", pressed);
        model.send({ do: "numbers", show: pressed });
      });
      numbers.setAttribute("aria-pressed", "false");
      button("Copy state", "Copy a line of code that shows this picture again", async () => {
        await navigator.clipboard?.writeText(model.get("code")).catch(() => {});
        model.send({ do: "copied" });
      });
      button("Save as", "Download the picture", () => model.send({ do: "save", format: format.value }));
      tools.append(format);
    }
    function receive(message, buffers) {
      if (message.do !== "download") return;
      const address = URL.createObjectURL(new Blob([buffers[0]], { type: message.type }));
      element("a", { href: address, download: message.name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    }

    // Pictures are drawn for a dark page if the page is dark.
    function tone() {
      const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
      const dark = jpThemeLight ? jpThemeLight === "false" : /dark/.test(vscodeThemeKind || "");
      if (dark === model.get("dark")) return;
      model.set("dark", dark);
      model.save_changes();
    }
    const themes = new MutationObserver(tone);
    themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });

    const changes = { "change:png": draw, "change:note": draw, "change:targets": lay, "change:hover": hover, "msg:custom": receive };
    for (const [name, action] of Object.entries(changes)) model.on(name, action);
    draw();
    lay();
    tone();
    return () => {
      for (const [name, action] of Object.entries(changes)) model.off(name, action);
      themes.disconnect();
      window.removeEventListener("keydown", onKey, true);
      clearTimeout(rest);
      URL.revokeObjectURL(url);
    };
  },
};

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}
