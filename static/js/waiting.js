// Looks again, quietly, while something is still to come; loads the page anew once it would say something else.
// Nothing depends on it: without JavaScript the page itself is loaded anew now and then.
(() => {
  "use strict";

  const MOST_LOOKS = 60;
  const SHORTEST_PAUSE = 2000;
  const LONGEST_PAUSE = 15000;

  const part = (page) => page.querySelector("[data-waits]")?.textContent.replace(/\s+/g, " ");
  const shown = part(document);
  if (shown === undefined) return;

  let looks = 0;

  const look = async () => {
    if (document.visibilityState === "visible") {
      looks += 1;
      try {
        const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
        if (answer.ok) {
          const now = part(new DOMParser().parseFromString(await answer.text(), "text/html"));
          if (now !== shown) {
            location.reload();
            return;
          }
        }
      } catch {
        // Out of reach at the moment: the next look may find it.
      }
    }
    if (looks < MOST_LOOKS) setTimeout(look, Math.min(SHORTEST_PAUSE + looks * 500, LONGEST_PAUSE));
  };

  setTimeout(look, SHORTEST_PAUSE);
})();
