export { FileStore } from "./store.js";
