// A picture with alternative text, a spoken caption, parts that can be chosen and, if asked for, raw pointer events.
export default {
  render({ model, el }) {
    const figure = document.createElement("figure");
    const frame = document.createElement("div");
    const picture = document.createElement("img");
    const layer = document.createElement("div");
    const caption = document.createElement("figcaption");
    figure.className = "explore-figure";
    figure.style.cssText = "margin:0;max-width:100%";
    frame.style.cssText = "position:relative;display:inline-block;max-width:100%";
    picture.style.cssText = "display:block;max-width:100%;height:auto";
    layer.style.cssText = "position:absolute;inset:0";
    caption.style.cssText = "font-size:0.85em;max-width:60em;padding:0.2em 0";
    caption.setAttribute("aria-live", "polite");
    layer.setAttribute("role", "group");
    layer.setAttribute("aria-label", "parts of the picture that can be chosen; arrow keys move, Enter chooses");
    frame.append(picture, layer);
    figure.append(frame, caption);
    el.append(figure);

    let url, rest, current = 0;
    function draw() {
      const old = url;
      url = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
      picture.src = url;
      picture.alt = model.get("alt");
      if (old) URL.revokeObjectURL(old);
      clearTimeout(rest);
      rest = setTimeout(() => { caption.textContent = model.get("alt"); }, 400); // spoken when a slider rests, not while it moves
    }

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
        const part = document.createElement("button");
        part.type = "button";
        part.title = target.label;
        part.setAttribute("aria-label", target.label);
        part.tabIndex = -1;
        part.style.cssText = `position:absolute;left:${100 * target.left}%;top:${100 * target.top}%;` +
          `width:${100 * (target.right - target.left)}%;height:${100 * (target.bottom - target.top)}%;` +
          "background:none;border:0;padding:0;cursor:pointer";
        part.onclick = () => { focus(index); choose(index); };
        part.onkeydown = (event) => {
          const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
          if (!move) return;
          event.preventDefault();
          event.stopPropagation();
          focus(current + move);
        };
        return part;
      }));
      current = Math.min(current, Math.max(0, targets.length - 1));
      if (layer.children[current]) {
        layer.children[current].tabIndex = 0;
        if (focused) layer.children[current].focus();
      }
    }

    // Dragging, where the kernel asks for it (tracks). The pointer is caught only once it has moved, for a caught pointer takes
    // the click away from the part that it is on.
    let from = null, caught = false;
    function tell(kind, event) {
      const box = frame.getBoundingClientRect();
      const at = (value, low, size) => Math.min(1, Math.max(0, (value - low) / size));
      model.set("pointer", { kind, x: at(event.clientX, box.left, box.width), y: at(event.clientY, box.top, box.height) });
      model.save_changes();
    }
    frame.addEventListener("pointerdown", (event) => {
      if (!model.get("tracks") || event.button) return;
      from = event;
      caught = false;
      tell("down", event);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!from) return;
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
    frame.addEventListener("dragstart", (event) => event.preventDefault());
    frame.style.touchAction = model.get("tracks") ? "none" : "auto"; // a finger drags the handle, not the page

    model.on("change:png", draw);
    model.on("change:targets", lay);
    draw();
    lay();
    return () => {
      model.off("change:png", draw);
      model.off("change:targets", lay);
      clearTimeout(rest);
      URL.revokeObjectURL(url);
    };
  },
};
