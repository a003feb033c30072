/** The door: a passphrase or a passkey opens the keys that this browser keeps, or makes them. */
import { type Kept, openBackup } from "./backup.js";
import { one, say, show } from "./dom.js";
import { type Lock, type Opened, backupOf, hasPasskeys, lockOf, openByPasskey, openByPassphrase } from "./keys.js";

const MAX_FILE_BYTES = 16 * 1024 * 1024;

interface Told {
  complain(error: unknown): void;
  clear(): void;
}

export class Door {
  private brought: Kept | undefined;

  constructor(private readonly page: Told) {}

  /** The keys, once their owner has opened them. */
  async passed(): Promise<Opened> {
    const lock = await lockOf();
    this.dress(lock);
    show(one("door"), true);
    const opened = await new Promise<Opened>((enter) => {
      this.on("by-passphrase", "submit", "unlock", async () => {
        const [first, again] = [one<HTMLInputElement>("passphrase"), one<HTMLInputElement>("again")];
        if (lock === undefined && first.value !== again.value) throw new Error("The two passphrases differ: type them again.");
        enter(await openByPassphrase(first.value, this.brought));
        first.value = again.value = "";
      });
      this.on("passkey", "click", "passkey", async () => enter(await openByPasskey(this.brought)));
      this.on("restore", "submit", undefined, () => this.bring());
    });
    show(one("door"), false);
    this.page.clear();
    this.savesBackups(opened);
    return opened;
  }

  private dress(lock: Lock): void {
    const fresh = lock === undefined;
    say(one("door-title"), fresh ? "Make your keys" : "Unlock your keys");
    say(
      one("door-text"),
      fresh
        ? "This browser makes a key for the consortium chain and keeps it here, encrypted, with the preimages of your swaps. Nobody else ever sees them, and nobody can reset the passphrase."
        : "They are in this browser, encrypted. Open swaps go on as soon as you are in.",
    );
    say(one("unlock"), fresh ? "Make keys with this passphrase" : "Unlock");
    say(one("passkey"), fresh ? "Make keys with a passkey of this device" : "Unlock with your passkey");
    show(one("twice"), fresh);
    one<HTMLInputElement>("again").required = fresh;
    one<HTMLInputElement>("passphrase").autocomplete = fresh ? "new-password" : "current-password";
    show(one("by-passphrase"), lock !== "passkey");
    show(one("by-passkey"), lock === "passkey" || (fresh && hasPasskeys()));
    show(one("bring"), fresh);
    document.querySelector<HTMLElement>("#by-passkey .or")?.toggleAttribute("hidden", lock === "passkey");
  }

  private async bring(): Promise<void> {
    const [file, passphrase] = [one<HTMLInputElement>("backup-file").files?.[0], one<HTMLInputElement>("backup-old")];
    if (file === undefined) throw new Error("Choose the file first.");
    if (file.size > MAX_FILE_BYTES) throw new Error("This file is too large to be a backup.");
    this.brought = await openBackup(await file.text(), passphrase.value);
    passphrase.value = "";
    say(one("restored"), "It is open. Now choose a passphrase or a passkey for this browser above.");
  }

  private savesBackups(opened: Opened): void {
    this.on("backup", "submit", undefined, async () => {
      const passphrase = one<HTMLInputElement>("backup-new");
      const text = await backupOf(opened, passphrase.value);
      passphrase.value = "";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = `causeway-backup-${new Date().toISOString().slice(0, 10)}.json`;
      link.click();
      URL.revokeObjectURL(link.href);
      say(one("saved"), "Saved. Make a new one after each swap that is still open.");
    });
  }

  private on(id: string, event: "submit" | "click", busy: string | undefined, act: () => Promise<void>): void {
    one(id).addEventListener(event, (heard) => {
      heard.preventDefault();
      const working = busy === undefined ? undefined : one<HTMLButtonElement>(busy);
      if (working !== undefined) working.disabled = true;
      this.page.clear();
      void act()
        .catch((error: unknown) => this.page.complain(error))
        .finally(() => {
          if (working !== undefined) working.disabled = false;
        });
    });
  }
}

