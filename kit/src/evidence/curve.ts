/** The one thing of the package for secp256k1 that is used: bundlers leave the rest out. */
export { secp256k1 } from "@noble/curves/secp256k1.js";
