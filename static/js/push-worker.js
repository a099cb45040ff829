// Shows what was pushed to this browser, and opens the wallet when it is clicked. Nothing is kept or fetched here.
(() => {
  "use strict";

  const said = (event) => {
    try {
      return event.data.json();
    } catch {
      return {};
    }
  };

  self.addEventListener("push", (event) => {
    const { title = "Wallet", body = "", tag = "", url = "/" } = said(event);
    // One tag is shown once, however often it comes.
    const shown = self.registration.showNotification(title, { body, tag, data: { url } });
    event.waitUntil(shown);
  });

  self.addEventListener("notificationclick", (event) => {
    event.notification.close();
    const asked = new URL(event.notification.data.url, self.location.origin);
    // To our own pages alone.
    const url = asked.origin === self.location.origin ? asked.href : "/";
    event.waitUntil(
      self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((windows) => {
        const open = windows.find((each) => each.url === url);
        return open ? open.focus() : self.clients.openWindow(url);
      }),
    );
  });

  // A new worker takes over at once: it has no pages to wait for.
  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
})();
