// ReDoc on our own schema. Its maker's logo is on another host, which the page's policy refuses: an image there is left
// out before the browser asks for it, as ReDoc does itself with one that does not load.
const address = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
const setAttribute = HTMLImageElement.prototype.setAttribute;
const here = (url) => (url.startsWith("data:") || new URL(url, location.href).origin === location.origin ? url : "");

Object.defineProperty(HTMLImageElement.prototype, "src", {
  ...address,
  set(url) {
    address.set.call(this, here(url));
  },
});
HTMLImageElement.prototype.setAttribute = function (name, value) {
  setAttribute.call(this, name, name === "src" ? here(value) : value);
};

Redoc.init("/openapi.json", { hideDownloadButton: true, nativeScrollbars: true }, document.getElementById("redoc"));
