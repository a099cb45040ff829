// Lets an open page look, every other second while somebody can see it, whether there is something new (htmx asks, and
// puts what is new in its place). Nothing depends on it: without JavaScript a page says what was so when it was loaded.
(() => {
  "use strict";

  const PAUSE = 1500;
  const LONGEST_PAUSE = 30000;
  const NEWS_STAY = 12000;

  const live = document.getElementById("live");
  const news = document.getElementById("news");
  if (!live || !window.htmx) return;

  let pause = PAUSE;
  let waiting = 0;
  let clearing = 0;

  const look = () => {
    // Of whoever is signed out the server takes it away.
    if (live.isConnected && document.visibilityState === "visible") htmx.trigger(live, "look");
  };
  const wait = () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, pause);
  };

  live.addEventListener("htmx:configRequest", (event) => {
    event.detail.parameters.seen = document.getElementById("seen").dataset.state;
  });
  live.addEventListener("htmx:afterRequest", (event) => {
    pause = event.detail.successful ? PAUSE : Math.min(pause * 2, LONGEST_PAUSE);
    wait();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") {
      clearTimeout(waiting);
      look();
    }
  });
  // What was said once stays under the bell.
  new MutationObserver(() => {
    clearTimeout(clearing);
    if (news.childElementCount) clearing = setTimeout(() => news.replaceChildren(), NEWS_STAY);
  }).observe(news, { childList: true });

  wait();
})();
