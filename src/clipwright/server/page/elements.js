// Elements, made from values. Text is set as text only: a file's name is never markup.

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties] properties of the element where it has them, else attributes
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => typeof child === "string" || child instanceof Node));
  return made;
}

/** A drawing of the sprite in index.html; it is never read aloud. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** The element with this id. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** A button that shows a drawing only. @param {string} name @param {string} label @param {() => void} act */
export const iconButton = (name, label, act, kind = "quiet") =>
  element("button", { type: "button", className: kind, ariaLabel: label, title: label, onclick: act }, icon(name));
