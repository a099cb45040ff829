// Web push: asks this browser for a subscription and sends the form with it; a browser that has one is named.
// Without JavaScript, or in a browser that cannot be woken, the form stays hidden.
(() => {
  "use strict";

  const form = document.querySelector("form[data-push]");
  if (!form || !("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) return;

  const shown = form.querySelector("[data-push-error]");
  const button = form.querySelector("button");

  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "");
  const digestOf = async (endpoint) => {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(endpoint));
    return text(digest);
  };

  // The browser's own words are for programmers.
  const words = (error) => {
    if (Notification.permission === "denied" || error.name === "NotAllowedError") {
      return "Your browser is set not to show notifications from here. Change that in its settings first.";
    }
    return "Your browser could not do that. Try again later.";
  };

  const subscribe = async () => {
    if ((await Notification.requestPermission()) !== "granted") throw new DOMException("", "NotAllowedError");
    await navigator.serviceWorker.register("/push-worker.js");
    const worker = await navigator.serviceWorker.ready;
    // One that was made for another key wakes nobody any more.
    const before = await worker.pushManager.getSubscription();
    if (before && text(before.options.applicationServerKey) !== form.dataset.push) await before.unsubscribe();
    return worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(form.dataset.push) });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    shown.hidden = true;
    try {
      const subscription = await subscribe();
      form.elements.endpoint.value = subscription.endpoint;
      form.elements.p256dh.value = text(subscription.getKey("p256dh"));
      form.elements.auth.value = text(subscription.getKey("auth"));
      form.submit();
    } catch (error) {
      shown.textContent = words(error);
      shown.hidden = false;
      button.disabled = false;
    }
  });

  const begin = async () => {
    const worker = await navigator.serviceWorker.getRegistration("/");
    const subscription = await worker?.pushManager.getSubscription();
    const row = subscription && document.querySelector(`[data-push-digest="${await digestOf(subscription.endpoint)}"]`);
    form.hidden = Boolean(row);
    if (!row) return;
    row.querySelector("[data-push-here]").hidden = false;
    row.querySelector("form").addEventListener("submit", () => subscription.unsubscribe());
  };
  begin().catch(() => (form.hidden = false));
})();
