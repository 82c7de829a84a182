// What the admin theme leaves out for people who use the keyboard or a screen reader.

const { menu } = document.currentScript.dataset;

document.getElementById("main")?.setAttribute("role", "main");

// Its scrolled regions are told apart by their names.
document.getElementById("nav-sidebar-apps")?.setAttribute("data-simplebar-aria-label", menu);

// The theme opens and closes the menu by clicks on plain elements.
for (const toggle of document.querySelectorAll('span[x-on\\:click*="sidebar"]')) {
  toggle.setAttribute("role", "button");
  toggle.setAttribute("aria-label", menu);
  toggle.tabIndex = 0;
  toggle.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle.click();
  });
}
