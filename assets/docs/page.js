// Opens the viewer on this server's description. "Try it out" calls this server: inside a session of this browser, whose
// CSRF token is sent along, or with a key that "Authorize" asks for.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
paint();
dark.addEventListener("change", paint);

const csrfToken = () => document.cookie.split("; ").find((cookie) => cookie.startsWith("posthog_csrftoken="))?.split("=")[1];

SwaggerUIBundle({
  url: "/api/schema",
  dom_id: "#api",
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor: (request) => {
    const token = csrfToken();
    if (token && !request.headers["X-CSRFToken"]) request.headers["X-CSRFToken"] = token;
    return request;
  },
});
