// A player of the page moves a slider, and the slider moves the player. The player is found by its
// label: it stands in another output, which may be drawn again at any time. Other cells and other
// notebooks in the page may have a player of the same label.
function render({model, el}) {
  const outputs = () => el.closest(".jp-OutputArea") ?? document;
  const ours = player =>
    player.getAttribute?.("aria-label") === model.get("label") && outputs().contains(player);
  const follow = ({target}) => {
    if (!ours(target)) return;
    model.set("seconds", target.currentTime);
    model.save_changes();
  };
  const seek = () => {
    const player = [...outputs().querySelectorAll("audio")].find(ours);
    if (player?.paused && Math.abs(player.currentTime - model.get("seconds")) > 0.001)
      player.currentTime = model.get("seconds");
  };
  document.addEventListener("timeupdate", follow, true);  // media events do not bubble
  model.on("change:seconds", seek);
  return () => {
    document.removeEventListener("timeupdate", follow, true);
    model.off("change:seconds", seek);
  };
}

export default {render};
