/* Sets the colours before the first paint. Not a module, because modules run later. */
{
  const known = ["light", "dark"];
  const chosen = localStorage.getItem("hyperhive-theme") ?? "";
  if (known.includes(chosen)) document.documentElement.dataset.theme = chosen;
}
