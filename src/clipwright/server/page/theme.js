// Light or dark: as the system is, until somebody chooses. A plain script, so that it runs before anything is drawn.

(() => {
  const KEPT = "clipwright.theme";
  const root = document.documentElement;
  const kept = localStorage.getItem(KEPT);
  if (kept) root.dataset.theme = kept;
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").onclick = () => {
      const dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      localStorage.setItem(KEPT, root.dataset.theme);
    };
  });
})();
