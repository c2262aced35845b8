// Shows the server's own description of its API. SwaggerUIBundle comes from swagger-ui-bundle.js.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null, // would send the description to another host
});
