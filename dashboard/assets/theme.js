"use strict";
// Before anything is drawn, so that a page does not flash in the other theme.
try { const theme = localStorage.getItem("sqlqueue-theme"); if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme; } catch {}
