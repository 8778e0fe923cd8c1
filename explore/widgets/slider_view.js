// A slider over named positions. Readers hear the name and the value, and Play moves it.
const SPEEDS = { slow: 800, normal: 350, fast: 120 }; // milliseconds between two positions

export default {
  render({ model, el }) {
    const row = Object.assign(document.createElement("label"), { className: "explore-slider" });
    const name = document.createElement("span");
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, step: 1 });
    const value = document.createElement("output");
    row.append(name, slider, value);
    el.append(row);

    let timer = null, play, speed;
    function show() {
      const texts = model.get("texts"), index = model.get("index");
      name.textContent = model.get("description");
      slider.max = texts.length - 1;
      slider.value = index;
      slider.setAttribute("aria-label", model.get("description"));
      slider.setAttribute("aria-valuetext", texts[index] ?? "");
      value.textContent = texts[index] ?? "";
      value.style.minWidth = `${Math.max(...texts.map((text) => text.length))}ch`;
    }
    function move(index) {
      model.set("index", index);
      model.save_changes();
      show();
    }
    slider.addEventListener("input", () => { stop(); move(Number(slider.value)); });

    // JupyterLab has shortcuts on the arrow keys, and sees keys before the slider does; so this comes before both.
    function onKey(event) {
      if (event.target !== slider || event.ctrlKey || event.altKey || event.metaKey) return;
      const last = Number(slider.max), index = model.get("index"), page = Math.max(1, Math.round(last / 10));
      const target = { ArrowRight: index + 1, ArrowUp: index + 1, ArrowLeft: index - 1, ArrowDown: index - 1,
        PageUp: index + page, PageDown: index - page, Home: 0, End: last }[event.key];
      if (target === undefined) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      stop();
      move(Math.min(last, Math.max(0, target)));
    }
    window.addEventListener("keydown", onKey, true);

    function stop() {
      clearInterval(timer);
      timer = null;
      if (play) play.textContent = "Play";
    }
    function start() {
      if (model.get("index") >= Number(slider.max)) move(0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        if (model.get("index") >= Number(slider.max)) stop();
        else move(model.get("index") + 1);
      }, SPEEDS[speed.value]);
    }
    if (model.get("plays")) {
      play = Object.assign(document.createElement("button"), { type: "button", textContent: "Play", title: "Move through all positions" });
      play.onclick = () => (timer ? stop() : start());
      speed = document.createElement("select");
      speed.setAttribute("aria-label", "speed of Play");
      for (const text of Object.keys(SPEEDS)) speed.append(new Option(text, text, text === "normal", text === "normal"));
      speed.onchange = () => { if (timer) { stop(); start(); } };
      const box = Object.assign(document.createElement("span"), { className: "explore-play" });
      box.append(play, speed);
      el.append(box);
    }
    el.classList.add("explore-slider-row");
    const changes = ["change:texts", "change:index", "change:description"];
    for (const change of changes) model.on(change, show);
    show();
    return () => {
      stop();
      window.removeEventListener("keydown", onKey, true);
      for (const change of changes) model.off(change, show);
    };
  },
};
