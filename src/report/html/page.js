"use strict";
for (const pre of document.querySelectorAll(".payload > pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(pre.textContent);
    } catch {
      getSelection().selectAllChildren(pre);
      copied = document.execCommand("copy");
    }
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  pre.before(button);
}
const shut = [];
addEventListener("beforeprint", () => {
  shut.push(...document.querySelectorAll("details:not([open])"));
  for (const details of shut) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of shut.splice(0)) details.open = false;
});
