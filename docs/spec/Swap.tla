-------------------------------- MODULE Swap --------------------------------
(***************************************************************************)
(* One swap over two chains, with everything that the time gates are there *)
(* to bear: late inclusion, reorgs before finality, clocks that differ,    *)
(* processes that are away. Actions have the names of the state machine's  *)
(* events (htlc/events.py; docs/internals/simulation.md says which is      *)
(* which); what is said of the gates is htlc/timelocks.py. Trace.tla holds *)
(* what the simulation plays against these actions.                        *)
(*                                                                         *)
(* A is the initiator's chain, B the participant's. Time is whole seconds. *)
(* A chain's clock differs from true time by a fixed number of seconds     *)
(* within its bounds; the worst fixed numbers are the worst of all.        *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS
  I, F, O,        \* inclusion, finality, observation
  Lead, Lag,      \* a chain's clock ahead of, and behind, true time
  Ri, Rp,         \* outage allowances: initiator, participant
  Ulock, Uclaim,  \* a person's time to lock, and to claim
  Initiator,      \* "honest", or "any": does whatever pays
  Participant,    \* the same; or "gone": acts as an honest one does, or not at all
  Watched         \* TRUE: a watchtower claims for the participant as well

Reveal == 2 * I + F + Ri + Lead
Fund   == I + F + O + Uclaim + Reveal
Quote  == Ulock + I + F + O + Fund
Gap    == Lag + O + 2 * I + F + Rp + Lead
TB == Quote + 1
TA == TB + Gap + 1

Chains == {"A", "B"}
Timelock == [A |-> TA, B |-> TB]
Legs == {"lockA", "lockB"}
Claims == {"claimA", "claimB"}
Refunds == {"refundA", "refundB"}
Transactions == Legs \cup Claims \cup Refunds
On == [lockA |-> "A", claimA |-> "A", refundA |-> "A",
       lockB |-> "B", claimB |-> "B", refundB |-> "B"]
Sender == [lockA |-> "initiator", claimB |-> "initiator", refundA |-> "initiator",
           lockB |-> "participant", claimA |-> "participant", refundB |-> "participant"]
LockOn == [A |-> "lockA", B |-> "lockB"]
ClaimOn == [A |-> "claimA", B |-> "claimB"]
RefundOn == [A |-> "refundA", B |-> "refundB"]

VARIABLES
  now,      \* true time
  ahead,    \* each chain's clock less true time
  stands,   \* of each transaction: none, sent, seen (in a block), dropped (by a reorg), final, never
  age,      \* for how long it has been sent, or seen
  reorged,  \* it was taken out of a block once; a second time is beyond the bounds
  known,    \* the preimage is known to the participant
  idle,     \* for how long each party has been up with something to do
  away,     \* which parties are away now
  left      \* what is left of their outage allowances

vars == <<now, ahead, stands, age, reorged, known, idle, away, left>>

Parties == {"initiator", "participant"}
Senders == Parties \cup {"watchtower"}
Horizon == TA + Lag + 3 * (2 * I + F) + O + 2

Dated(c) == now + ahead[c]
In(t) == stands[t] \in {"seen", "final"}
Locked(c) == In(LockOn[c]) /\ ~In(ClaimOn[c]) /\ ~In(RefundOn[c])
Up(p) == p \notin away

Init ==
  /\ now = 0
  /\ ahead \in [Chains -> {-Lag, Lead}]
  /\ stands = [t \in Transactions |-> "none"]
  /\ age = [t \in Transactions |-> 0]
  /\ reorged = [t \in Transactions |-> FALSE]
  /\ known = FALSE
  /\ idle = [p \in Parties |-> 0]
  /\ away = {}
  /\ left = [initiator |-> Ri, participant |-> Rp]

(***************************************************************************)
(* The gates: what has to hold whenever bytes of an honest party that lock *)
(* or reveal first leave it.                                               *)
(***************************************************************************)
MayLock(t) ==
  IF t = "lockA" THEN TB - now > Quote - Ulock
  ELSE stands["lockA"] = "final" /\ Locked("A") /\ ~known /\ TB - now > Fund

MayReveal == stands["lockB"] = "final" /\ Locked("A") /\ TB - now > Reveal

(***************************************************************************)
(* What each party wants to send now.                                      *)
(***************************************************************************)
InitiatorSends ==
  IF Initiator = "any" THEN
    (IF stands["lockA"] = "none" THEN {"lockA"} ELSE {})
    \cup (IF In("lockB") /\ stands["claimB"] = "none" THEN {"claimB"} ELSE {})
    \cup (IF In("lockA") /\ stands["refundA"] = "none" /\ Dated("A") >= TA THEN {"refundA"} ELSE {})
  ELSE
    (IF stands["lockA"] = "none" /\ MayLock("lockA") THEN {"lockA"} ELSE {})
    \cup (IF stands["claimB"] = "none" /\ MayReveal THEN {"claimB"} ELSE {})
    \cup (IF Locked("A") /\ stands["refundA"] = "none" /\ Dated("A") >= TA THEN {"refundA"} ELSE {})

ParticipantSends ==
  IF Participant = "any" THEN
    (IF stands["lockB"] = "none" THEN {"lockB"} ELSE {})
    \cup (IF known /\ Locked("A") /\ stands["claimA"] = "none" THEN {"claimA"} ELSE {})
    \cup (IF Locked("B") /\ stands["refundB"] = "none" /\ Dated("B") >= TB THEN {"refundB"} ELSE {})
  ELSE
  (IF stands["lockB"] = "none" /\ MayLock("lockB") THEN {"lockB"} ELSE {})
  \cup (IF known /\ Locked("A") /\ stands["claimA"] = "none" THEN {"claimA"} ELSE {})
  \cup (IF Locked("B") /\ stands["refundB"] = "none" /\ Dated("B") >= TB THEN {"refundB"} ELSE {})

(* A watchtower is up all the time; it sees blocks as everybody does, and sends only what pays those it watches. *)
WatchtowerSends ==
  IF Watched /\ stands["claimB"] # "none" /\ Locked("A") /\ stands["claimA"] = "none" THEN {"claimA"} ELSE {}

Sends == [initiator |-> InitiatorSends, participant |-> ParticipantSends, watchtower |-> WatchtowerSends]
Honest(p) == IF p = "initiator" THEN Initiator = "honest" ELSE Participant = "honest"

(* How long an honest party that is up may leave something undone: a person's time to lock or claim, else O. *)
Patience(p) ==
  IF p = "initiator" /\ "lockA" \in Sends[p] THEN Ulock
  ELSE IF p = "initiator" /\ "claimB" \in Sends[p] THEN O + Uclaim
  ELSE O

(***************************************************************************)
(* Actions.                                                                *)
(***************************************************************************)
(* Bytes leave a party: for the first time, or again after a reorg dropped them. A lock whose sender spends the money
   otherwise is not sent again (EffectVoided). *)
EffectSubmitted(p, t) ==
  /\ p = "watchtower" \/ Up(p)
  /\ \/ t \in Sends[p]
     \/ stands[t] = "dropped" /\ (p = Sender[t] \/ (p = "watchtower" /\ Watched /\ t = "claimA"))
  /\ stands' = [stands EXCEPT ![t] = "sent"]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ idle' = IF p = "watchtower" \/ stands[t] = "dropped" THEN idle ELSE [idle EXCEPT ![p] = 0]
  /\ UNCHANGED <<now, ahead, reorged, known, away, left>>

Valid(t) ==
  LET c == On[t] IN
  CASE t \in Legs -> Dated(c) < Timelock[c]
    [] t \in Claims -> Locked(c) /\ Dated(c) < Timelock[c]
    [] t \in Refunds -> Locked(c) /\ Dated(c) >= Timelock[c]

Becomes(t, what) ==
  /\ stands' = [stands EXCEPT ![t] = what]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ UNCHANGED <<now, ahead, known, idle, away, left>>

(* A block holds it. What a reorg dropped may come back by itself, from a pool that still had it. *)
Seen(t) == stands[t] \in {"sent", "dropped"} /\ Valid(t) /\ Becomes(t, "seen") /\ UNCHANGED reorged
LockSeen(c) == Seen(LockOn[c])
ClaimSeen(c) == Seen(ClaimOn[c])
RefundSeen(c) == Seen(RefundOn[c])

(* A block holds it, and the chain refused it: it never counts. *)
EffectReverted(t) == stands[t] = "sent" /\ ~Valid(t) /\ Becomes(t, "never") /\ UNCHANGED reorged

(* Its block is replaced before it is final. Nothing stands on it then. *)
Reverted(t) ==
  /\ stands[t] = "seen"
  /\ t \in Legs => ~In(ClaimOn[On[t]]) /\ ~In(RefundOn[On[t]])
  /\ Becomes(t, "dropped")
  /\ reorged' = [reorged EXCEPT ![t] = TRUE]
LockReverted(c) == Reverted(LockOn[c])
ClaimReverted(c) == Reverted(ClaimOn[c])
RefundReverted(c) == Reverted(RefundOn[c])

(* It is signed, and can never be mined: its sequence was used for something else. *)
EffectVoided(t) == stands[t] \in {"sent", "dropped"} /\ Becomes(t, "never") /\ UNCHANGED reorged

Final(t) == stands[t] = "seen" /\ Becomes(t, "final") /\ UNCHANGED reorged
LockFinal(c) == Final(LockOn[c])
ClaimFinal(c) == Final(ClaimOn[c])
RefundFinal(c) == Final(RefundOn[c])

(* The participant learns it from wherever it was sent to, and never forgets. *)
PreimageSeen ==
  /\ ~known /\ Up("participant") /\ stands["claimB"] # "none"
  /\ known' = TRUE
  /\ UNCHANGED <<now, ahead, stands, age, reorged, idle, away, left>>

Crashes(p) ==
  /\ Honest(p) /\ Up(p) /\ left[p] > 0
  /\ away' = away \cup {p}
  /\ UNCHANGED <<now, ahead, stands, age, reorged, known, idle, left>>

ComesBack(p) ==
  /\ ~Up(p)
  /\ away' = away \ {p}
  /\ UNCHANGED <<now, ahead, stands, age, reorged, known, idle, left>>

HasToDo(p) == Sends[p] # {} \/ (p = "participant" /\ ~known /\ In("claimB"))

(* What has to happen before another second passes. *)
Due ==
  \/ \E t \in Transactions : (stands[t] = "sent" /\ age[t] >= I) \/ (stands[t] = "seen" /\ age[t] >= F)
  \/ \E p \in Parties : Honest(p) /\ Up(p) /\ HasToDo(p) /\ idle[p] >= Patience(p)
  \/ \E p \in Parties : ~Up(p) /\ left[p] <= 0
  \/ \E t \in Transactions : stands[t] = "dropped" /\ (Up(Sender[t]) \/ (Watched /\ t = "claimA"))
  \/ Watched /\ In("claimB") /\ Locked("A") /\ stands["claimA"] = "none"

TimeAdvanced ==
  /\ ~Due
  /\ now' = now + 1
  /\ age' = [t \in Transactions |-> IF stands[t] \in {"sent", "seen"} THEN age[t] + 1 ELSE 0]
  /\ idle' = [p \in Parties |-> IF Honest(p) /\ Up(p) /\ HasToDo(p) THEN idle[p] + 1 ELSE 0]
  /\ left' = [p \in Parties |-> IF Up(p) THEN left[p] ELSE left[p] - 1]
  /\ UNCHANGED <<ahead, stands, reorged, known, away>>

(* A second reorg of one transaction is beyond the bounds; a lock is voided by a cheat alone. Whoever follows the
   protocol learns the preimage from a block: learning it earlier leaves more time. *)
Next ==
  \/ now < Horizon /\ TimeAdvanced
  \/ (Participant = "any" \/ In("claimB")) /\ PreimageSeen
  \/ \E c \in Chains : LockSeen(c) \/ ClaimSeen(c) \/ RefundSeen(c) \/ LockFinal(c) \/ ClaimFinal(c) \/ RefundFinal(c)
  \/ \E c \in Chains : \/ ~reorged[LockOn[c]] /\ LockReverted(c)
                       \/ ~reorged[ClaimOn[c]] /\ ClaimReverted(c)
                       \/ ~reorged[RefundOn[c]] /\ RefundReverted(c)
  \/ \E t \in Transactions : EffectReverted(t)
  \/ Initiator = "any" /\ stands["lockA"] = "dropped" /\ EffectVoided("lockA")
  \/ Participant = "any" /\ stands["lockB"] = "dropped" /\ EffectVoided("lockB")
  \/ \E t \in Transactions : \E p \in Senders : (p = "watchtower" => In("claimB")) /\ EffectSubmitted(p, t)
  \/ \E p \in Parties : Crashes(p) \/ ComesBack(p)

Spec == Init /\ [][Next]_vars

(***************************************************************************)
(* What must hold.                                                         *)
(***************************************************************************)
Paid(c) == stands[ClaimOn[c]] = "final"
Over == now = Horizon

TypeOK ==
  /\ now \in 0..Horizon
  /\ stands \in [Transactions -> {"none", "sent", "seen", "dropped", "final", "never"}]
  /\ known \in BOOLEAN
  /\ away \subseteq Parties

(* An honest initiator whose leg is claimed is paid. *)
InitiatorSafe == (Initiator = "honest" /\ Over /\ Paid("A")) => Paid("B")

(* An honest participant whose leg is claimed is paid. *)
ParticipantSafe == ((Participant = "honest" \/ Watched) /\ Over /\ Paid("B")) => Paid("A")

(* A claim and a refund of one leg never both stand. *)
NoRace == \A c \in Chains : ~(In(ClaimOn[c]) /\ In(RefundOn[c]))

(* An honest pair completes: one that is never away, and whose locks no reorg takes out. The gates leave room for a
   reorg where money is at stake, which is at the claims; a lock that a reorg delays may come too late, and is refunded. *)
Completes ==
  (/\ Initiator = "honest" /\ Participant = "honest" /\ Over
   /\ left = [initiator |-> Ri, participant |-> Rp]
   /\ stands["lockA"] = "final" /\ ~reorged["lockA"] /\ ~reorged["lockB"]) => Paid("A") /\ Paid("B")
=============================================================================
