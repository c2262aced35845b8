// Servers with keys: the form that asks for one. The server keeps it in a cookie that no script can read.

import { ask } from "./api.js";
import { byId } from "./elements.js";

/** @type {Promise<void> | null} */
let asked = null;

/** Shows the form; done once the server took a key. All who ask meanwhile wait for the same one. */
export function askForKey() {
  asked ??= new Promise((done) => {
    const dialog = byId("key");
    const form = byId("key-form");
    const wrong = byId("key-wrong");
    dialog.oncancel = (/** @type {Event} */ event) => event.preventDefault();
    form.onsubmit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        await ask("POST", "/v1/session", { body: { key: form.elements.key.value.trim() } });
        form.reset();
        wrong.textContent = "";
        dialog.close();
        asked = null;
        done();
      } catch (error) {
        wrong.textContent = error.message;
        form.elements.key.select();
      }
    };
    dialog.showModal();
  });
  return asked;
}
