/* Colours before the first paint: a script of its own, not a module, for modules run later. */
{
  const known = ["light", "dark"];
  const chosen = localStorage.getItem("hyperhive-theme") ?? "";
  if (known.includes(chosen)) document.documentElement.dataset.theme = chosen;
}
