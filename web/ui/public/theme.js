// Applies the chosen theme before the first paint, so that a dark page never flashes white.
(function () {
  try {
    var theme = localStorage.getItem("taffrail.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch (_) {
    // Storage may be switched off; the system's theme is used then.
  }
})();
