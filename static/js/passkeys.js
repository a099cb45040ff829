// Passkeys: asks the server for a challenge, the browser for an answer, and sends the form with it.
// Without JavaScript, or in a browser that knows no passkeys, the forms stay hidden: codes do the same.
(() => {
  "use strict";

  const ceremonies = {
    register: (options) =>
      navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
    show: (options) =>
      navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  };

  // The browser's own words are for programmers.
  const words = (error) => {
    if (error.name === "InvalidStateError") return "This device has a passkey here already.";
    if (error.name === "NotAllowedError") return "That was cancelled, or took too long. Try again.";
    return "Your browser could not do that. Try again, or use a code.";
  };

  const run = async (form) => {
    const answer = await fetch(form.dataset.options, {
      method: "POST",
      body: new FormData(form),
      credentials: "same-origin",
    });
    if (answer.redirected) {
      // Signed out meanwhile, or the step took too long.
      location.assign(answer.url);
      return "";
    }
    const given = await answer.json();
    if (!answer.ok) return given.detail;
    const credential = await ceremonies[form.dataset.passkey](given);
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
    return "";
  };

  const prepare = (form) => {
    const shown = form.querySelector("[data-passkey-error]");
    const button = form.querySelector("button");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        shown.textContent = await run(form);
      } catch (error) {
        shown.textContent = words(error);
      }
      shown.hidden = shown.textContent === "";
      button.disabled = false;
    });
  };

  if (typeof window.PublicKeyCredential?.parseCreationOptionsFromJSON !== "function") return;
  document.querySelectorAll("form[data-passkey]").forEach(prepare);
})();
