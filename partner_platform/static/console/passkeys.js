// The button of a passkey form: asks the browser for a passkey, puts what it made into the form's field, and sends it.
"use strict";

const bytes = (text) => {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
};

const text = (buffer) => {
  const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

const known = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

const create = async (options) => {
  const user = { ...options.user, id: bytes(options.user.id) };
  const publicKey = { ...options, challenge: bytes(options.challenge), user, excludeCredentials: known(options.excludeCredentials) };
  const made = await navigator.credentials.create({ publicKey });
  const response = {
    clientDataJSON: text(made.response.clientDataJSON),
    attestationObject: text(made.response.attestationObject),
  };
  return { id: made.id, rawId: text(made.rawId), type: made.type, response };
};

const get = async (options) => {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) };
  const used = await navigator.credentials.get({ publicKey });
  const response = {
    clientDataJSON: text(used.response.clientDataJSON),
    authenticatorData: text(used.response.authenticatorData),
    signature: text(used.response.signature),
    userHandle: used.response.userHandle ? text(used.response.userHandle) : null,
  };
  return { id: used.id, rawId: text(used.rawId), type: used.type, response };
};

document.querySelectorAll("[data-passkey-button]").forEach((button) => {
  const form = button.closest("form");
  const field = form.querySelector("[data-passkey-options]");
  const problem = form.querySelector("[data-passkey-problem]");
  button.addEventListener("click", async () => {
    try {
      const act = field.dataset.passkeyAct === "create" ? create : get;
      field.value = JSON.stringify(await act(JSON.parse(field.dataset.passkeyOptions)));
      form.submit();
    } catch (error) {
      problem.hidden = false;
      problem.textContent = `The browser gave no passkey (${error.name}). Reload the page to try again.`;
    }
  });
});
