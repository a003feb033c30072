-------------------------------- MODULE Swap --------------------------------
(***************************************************************************)
(* One swap over two chains, with everything that the time gates are there *)
(* to bear: late inclusion, reorgs before finality, clocks that differ,    *)
(* processes that are away. Actions have the names of the state machine's  *)
(* events (htlc/events.py); what is said of the gates is htlc/timelocks.py.*)
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
(* What each party wants to send now.                                      *)
(***************************************************************************)
InitiatorSends ==
  IF Initiator = "any" THEN
    (IF stands["lockA"] = "none" THEN {"lockA"} ELSE {})
    \cup (IF In("lockB") /\ stands["claimB"] = "none" THEN {"claimB"} ELSE {})
    \cup (IF In("lockA") /\ stands["refundA"] = "none" /\ Dated("A") >= TA THEN {"refundA"} ELSE {})
  ELSE
    (IF stands["lockA"] = "none" /\ TB - now > Quote - Ulock THEN {"lockA"} ELSE {})
    \cup (IF stands["lockB"] = "final" /\ Locked("A") /\ stands["claimB"] = "none" /\ TB - now > Reveal
          THEN {"claimB"} ELSE {})
    \cup (IF Locked("A") /\ stands["refundA"] = "none" /\ Dated("A") >= TA THEN {"refundA"} ELSE {})

ParticipantSends ==
  IF Participant = "any" THEN
    (IF stands["lockB"] = "none" THEN {"lockB"} ELSE {})
    \cup (IF known /\ Locked("A") /\ stands["claimA"] = "none" THEN {"claimA"} ELSE {})
    \cup (IF Locked("B") /\ stands["refundB"] = "none" /\ Dated("B") >= TB THEN {"refundB"} ELSE {})
  ELSE
  (IF stands["lockA"] = "final" /\ Locked("A") /\ stands["lockB"] = "none" /\ ~known /\ TB - now > Fund
   THEN {"lockB"} ELSE {})
  \cup (IF known /\ Locked("A") /\ stands["claimA"] = "none" THEN {"claimA"} ELSE {})
  \cup (IF Locked("B") /\ stands["refundB"] = "none" /\ Dated("B") >= TB THEN {"refundB"} ELSE {})

Sends == [initiator |-> InitiatorSends, participant |-> ParticipantSends]
Honest(p) == IF p = "initiator" THEN Initiator = "honest" ELSE Participant = "honest"

(* How long an honest party that is up may leave something undone: a person's time to lock or claim, else O. *)
Patience(p) ==
  IF p = "initiator" /\ "lockA" \in Sends[p] THEN Ulock
  ELSE IF p = "initiator" /\ "claimB" \in Sends[p] THEN O + Uclaim
  ELSE O

(***************************************************************************)
(* Actions.                                                                *)
(***************************************************************************)
EffectSubmitted(p, t) ==
  /\ Up(p) /\ t \in Sends[p]
  /\ stands' = [stands EXCEPT ![t] = "sent"]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ idle' = [idle EXCEPT ![p] = 0]
  /\ UNCHANGED <<now, ahead, reorged, known, away, left>>

(* A watchtower is up all the time; it sees blocks as everybody does, and sends only what pays the participant. *)
WatchtowerClaims ==
  /\ Watched /\ In("claimB") /\ Locked("A") /\ stands["claimA"] = "none"
  /\ stands' = [stands EXCEPT !["claimA"] = "sent"]
  /\ age' = [age EXCEPT !["claimA"] = 0]
  /\ UNCHANGED <<now, ahead, reorged, known, idle, away, left>>

Valid(t) ==
  LET c == On[t] IN
  CASE t \in Legs -> Dated(c) < Timelock[c]
    [] t \in Claims -> Locked(c) /\ Dated(c) < Timelock[c]
    [] t \in Refunds -> Locked(c) /\ Dated(c) >= Timelock[c]

(* LockSeen, ClaimSeen, RefundSeen: a block holds it. One that the chain refuses never counts. *)
Seen(t) ==
  /\ stands[t] = "sent"
  /\ stands' = [stands EXCEPT ![t] = IF Valid(t) THEN "seen" ELSE "never"]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ UNCHANGED <<now, ahead, reorged, known, idle, away, left>>

(* LockReverted, ClaimReverted, RefundReverted: its block is replaced before it is final. Nothing stands on it then. *)
Reverted(t) ==
  /\ stands[t] = "seen" /\ ~reorged[t]
  /\ t \in Legs => ~In(ClaimOn[On[t]]) /\ ~In(RefundOn[On[t]])
  /\ \/ stands' = [stands EXCEPT ![t] = "dropped"]
     \/ /\ (t = "lockA" /\ Initiator = "any") \/ (t = "lockB" /\ Participant = "any")
        /\ stands' = [stands EXCEPT ![t] = "never"]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ reorged' = [reorged EXCEPT ![t] = TRUE]
  /\ UNCHANGED <<now, ahead, known, idle, away, left>>

(* Whoever sent it sends it again, once up; but not the lock of an initiator who spends the money otherwise. *)
SentAgain(t) ==
  /\ stands[t] = "dropped" /\ (Up(Sender[t]) \/ (Watched /\ t = "claimA"))
  /\ stands' = [stands EXCEPT ![t] = "sent"]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ UNCHANGED <<now, ahead, reorged, known, idle, away, left>>

(* LockFinal, ClaimFinal, RefundFinal. *)
Final(t) ==
  /\ stands[t] = "seen"
  /\ stands' = [stands EXCEPT ![t] = "final"]
  /\ age' = [age EXCEPT ![t] = 0]
  /\ UNCHANGED <<now, ahead, reorged, known, idle, away, left>>

(* PreimageSeen: the participant learns it from a block, and never forgets. A thief reads it wherever it was sent. *)
PreimageSeen ==
  /\ ~known /\ Up("participant")
  /\ IF Participant = "any" THEN stands["claimB"] # "none" ELSE In("claimB")
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

(* TimeAdvanced: a second passes, unless something has to happen before. *)
TimeAdvanced ==
  /\ now < Horizon
  /\ \A t \in Transactions : /\ stands[t] = "sent" => age[t] < I
                             /\ stands[t] = "seen" => age[t] < F
  /\ \A p \in Parties : Honest(p) /\ Up(p) /\ HasToDo(p) => idle[p] < Patience(p)
  /\ \A p \in Parties : ~Up(p) => left[p] > 0
  /\ \A t \in Transactions : ~(stands[t] = "dropped" /\ (Up(Sender[t]) \/ (Watched /\ t = "claimA")))
  /\ Watched => ~(In("claimB") /\ Locked("A") /\ stands["claimA"] = "none")
  /\ now' = now + 1
  /\ age' = [t \in Transactions |-> IF stands[t] \in {"sent", "seen"} THEN age[t] + 1 ELSE 0]
  /\ idle' = [p \in Parties |-> IF Honest(p) /\ Up(p) /\ HasToDo(p) THEN idle[p] + 1 ELSE 0]
  /\ left' = [p \in Parties |-> IF Up(p) THEN left[p] ELSE left[p] - 1]
  /\ UNCHANGED <<ahead, stands, reorged, known, away>>

Next ==
  \/ TimeAdvanced
  \/ PreimageSeen
  \/ WatchtowerClaims
  \/ \E t \in Transactions : Seen(t) \/ Reverted(t) \/ SentAgain(t) \/ Final(t)
  \/ \E p \in Parties : Crashes(p) \/ ComesBack(p) \/ \E t \in Transactions : EffectSubmitted(p, t)

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
