// The sliders of ipywidgets have no name that a screen reader could say: they get one here. They
// come into the page when they are ready, after or before this.
function render({model, el}) {
  const names = model.get("names");
  const wait = setInterval(() => {
    const handles = el.closest(".widget-box")?.querySelectorAll(".noUi-handle") ?? [];
    if (handles.length < names.length) return;
    handles.forEach((handle, place) => handle.setAttribute("aria-label", names[place]));
    clearInterval(wait);
  }, 100);
  return () => clearInterval(wait);
}

export default {render};
