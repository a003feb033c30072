/** Keys under which a browser keeps preimages: of a passphrase, or of a passkey. WebCrypto does the work. */
import { CausewayError, rejected, unavailable } from "../errors.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** OWASP's figure for PBKDF2 with SHA-256 (Password Storage Cheat Sheet, 2023). */
const ITERATIONS = 600_000;
const SALT_BYTES = 16;
const IV_BYTES = 12;
const MIN_PASSPHRASE_CHARS = 8;

export interface Sealed {
  readonly iv: Bytes;
  readonly data: Bytes;
}

export const freshSalt = (): Bytes => crypto.getRandomValues(new Uint8Array(SALT_BYTES));

/** An AES-256-GCM key of a passphrase; it cannot be taken out of the browser's hands. */
export async function passphraseKey(passphrase: string, salt: Bytes): Promise<CryptoKey> {
  if ([...passphrase].length < MIN_PASSPHRASE_CHARS) throw rejected(`a passphrase has at least ${MIN_PASSPHRASE_CHARS} characters`, "weak-passphrase");
  const material = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase.normalize("NFKC")), "PBKDF2", false, ["deriveKey"]);
  return crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations: ITERATIONS }, material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/**
 * An AES-256-GCM key of a passkey, by the PRF extension of WebAuthn level 3: the authenticator evaluates it, and shows the
 * result to nobody but this page. `credentialId`: the passkey made by `createPasskey`.
 */
export async function passkeyKey(credentialId: Bytes, salt: Bytes): Promise<CryptoKey> {
  const challenge = crypto.getRandomValues(new Uint8Array(32));
  const found = await answered(navigator.credentials.get({
    publicKey: { challenge, allowCredentials: [{ type: "public-key", id: credentialId }], userVerification: "required", extensions: { prf: { eval: { first: salt } } } },
  }));
  const result = found instanceof PublicKeyCredential ? found.getClientExtensionResults().prf?.results?.first : undefined;
  if (result === undefined) throw rejected("this passkey derives no keys (WebAuthn's PRF extension): use a passphrase", "no-prf");
  const material = await crypto.subtle.importKey("raw", result, "HKDF", false, ["deriveKey"]);
  const info = new TextEncoder().encode("causeway swap store v1");
  return crypto.subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt, info }, material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/** Make a passkey whose PRF gives store keys; returns its id. `name` is what the browser shows. */
export async function createPasskey(name: string): Promise<Bytes> {
  const made = await answered(navigator.credentials.create({
    publicKey: {
      challenge: crypto.getRandomValues(new Uint8Array(32)),
      rp: { name: "Causeway" },
      user: { id: crypto.getRandomValues(new Uint8Array(16)), name, displayName: name },
      pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }, { type: "public-key", alg: -257 }],
      authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
      extensions: { prf: {} },
    },
  }));
  if (!(made instanceof PublicKeyCredential) || made.getClientExtensionResults().prf?.enabled !== true) throw rejected("this authenticator derives no keys (WebAuthn's PRF extension): use a passphrase", "no-prf");
  return new Uint8Array(made.rawId);
}

/** A passkey's owner who says no, or nothing, is told from a device that fails (WebAuthn level 3, section 6.3). */
async function answered<T>(question: Promise<T>): Promise<T> {
  try {
    return await question;
  } catch (error) {
    const { name, message } = error as Error;
    throw name === "NotAllowedError" ? new CausewayError("declined", "the passkey was not used: try again", true) : unavailable(`the passkey did not do it: ${message}`, "wallet");
  }
}

/** `name` is bound to the ciphertext: a record cannot be put in the place of another. */
export async function seal(key: CryptoKey, name: string, text: string): Promise<Sealed> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: new TextEncoder().encode(name) }, key, new TextEncoder().encode(text));
  return { iv, data: new Uint8Array(data) };
}

/** What can be read of many records: one that is damaged may not hold up the others. Throws if it is all of them. */
export async function readable<T>(records: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(records);
  const found = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  if (found.length === 0) await Promise.all(records);
  return found;
}

export async function unseal(key: CryptoKey, name: string, sealed: Sealed): Promise<string> {
  try {
    const data = await crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.iv, additionalData: new TextEncoder().encode(name) }, key, sealed.data);
    return new TextDecoder().decode(data);
  } catch {
    throw new CausewayError("wrong-key", "the store cannot be opened with this passphrase or passkey, or somebody changed it");
  }
}
