"use strict";
// The list of connections, anew every two seconds while the page is to be seen. What comes is made
// by the server, which lets no markup through.
const live = document.querySelector("[data-live]");
async function refresh() {
  if (live && !document.hidden) {
    try {
      const answer = await fetch("/recent");
      if (answer.ok) live.innerHTML = await answer.text();
    } catch (error) {
      // The demo has ended; the next try will tell.
    }
  }
  setTimeout(refresh, 2000);
}
setTimeout(refresh, 2000);
