------------------------------- MODULE Trace -------------------------------
(***************************************************************************)
(* What the simulation plays, held against Swap.tla. A trace is one swap's *)
(* steps in the order of time (gateway/simulation/traces.py): what became  *)
(* of its transactions on the chains, the bytes that parties sent, and the *)
(* events and effects of the honest parties' journals. A trace is accepted *)
(* if every step of it is allowed here. Chains and wire take the actions   *)
(* of Swap. A journal takes none but PreimageSeen and EffectVoided: it is  *)
(* held against what the chains had shown by then, and a party's effects   *)
(* against what its own journal had shown it.                              *)
(*                                                                         *)
(* Time passes by TimeAdvanced where everything stayed inside the bounds,  *)
(* so that what is due has to happen; elsewhere it just passes.            *)
(***************************************************************************)
EXTENDS Swap, Sequences

CONSTANT Traces
  \* Of each: lead (a chain's clock ahead of true time), bounded, journals (whose are whole), steps.
  \* Of each step: at (true time), of (chain, wire, journal, outbox), by (whom: a sender, the chain, a neighbour), event,
  \* on (a chain, a transaction, an outcome), and of a TimeAdvanced the chain's head.

VARIABLES
  trace, step,
  took,     \* which transactions a block held at some time
  lost,     \* which of them a reorg took out
  sees,     \* what each journal knows of each transaction: none, seen, gone, final
  verified, \* who found the other lock right
  closed,   \* who neither funds nor reveals any more
  asked     \* which transactions each machine asked for

views == <<took, lost, sees, verified, closed, asked>>
world == <<ahead, stands, age, reorged, known, idle, away, left>>

Here == Traces[trace]
S == Here.steps[step]

TraceInit ==
  /\ trace \in 1..Len(Traces)
  /\ step = 1
  /\ now = Here.steps[1].at
  /\ ahead = Here.lead
  /\ stands = [t \in Transactions |-> "none"]
  /\ age = [t \in Transactions |-> 0]
  /\ reorged = [t \in Transactions |-> FALSE]
  /\ known = FALSE
  /\ idle = [p \in Parties |-> 0]
  /\ away = {}
  /\ left = [initiator |-> Ri, participant |-> Rp]
  /\ took = {}
  /\ lost = {}
  /\ sees = [p \in Senders |-> [t \in Transactions |-> "none"]]
  /\ verified = {}
  /\ closed = {}
  /\ asked = [p \in Senders |-> {}]

Own(p) == IF p = "initiator" THEN "lockA" ELSE "lockB"
Other(p) == IF p = "initiator" THEN "lockB" ELSE "lockA"

About ==
  CASE S.event \in {"LockSeen", "LockFinal", "LockReverted", "LockVerified", "LockRefused"} -> LockOn[S.on]
    [] S.event \in {"ClaimSeen", "ClaimFinal", "ClaimReverted"} -> ClaimOn[S.on]
    [] S.event \in {"RefundSeen", "RefundFinal", "RefundReverted"} -> RefundOn[S.on]
    [] OTHER -> S.on

(***************************************************************************)
(* The chains, and the bytes that reach them.                              *)
(***************************************************************************)
ByChain ==
  /\ CASE S.event = "LockSeen" -> LockSeen(S.on)
       [] S.event = "LockFinal" -> LockFinal(S.on)
       [] S.event = "LockReverted" -> LockReverted(S.on)
       [] S.event = "ClaimSeen" -> ClaimSeen(S.on)
       [] S.event = "ClaimFinal" -> ClaimFinal(S.on)
       [] S.event = "ClaimReverted" -> ClaimReverted(S.on)
       [] S.event = "RefundSeen" -> RefundSeen(S.on)
       [] S.event = "RefundFinal" -> RefundFinal(S.on)
       [] S.event = "RefundReverted" -> RefundReverted(S.on)
       [] OTHER -> FALSE
  /\ took' = IF S.event \in {"LockSeen", "ClaimSeen", "RefundSeen"} THEN took \cup {About} ELSE took
  /\ lost' = IF S.event \in {"LockReverted", "ClaimReverted", "RefundReverted"} THEN lost \cup {About} ELSE lost
  /\ UNCHANGED <<sees, verified, closed, asked>>

(* Another signed form of what was sent already: a lock passes its gate with each. *)
AnotherForm(t) == stands[t] # "none" /\ (t \in Legs => MayLock(t))

(* An exit that the chain will refuse, by a sender who has not seen yet that the leg is settled. *)
TooLate(t) ==
  /\ t \notin Legs /\ In(LockOn[On[t]]) /\ ~Locked(On[t])
  /\ IF t \in Claims THEN stands["claimB"] # "none" ELSE Dated(On[t]) >= Timelock[On[t]]

(* An exit pays the same to the same, whoever sends it: a watchtower refunds for others, and a neighbour, who watches
   over another agreement about the same lock, does all that its sender may do. *)
Payer == IF S.by = "neighbour" \/ (S.by = "watchtower" /\ S.on \in Refunds) THEN Sender[S.on] ELSE S.by

ByWire ==
  /\ S.event = "EffectSubmitted" /\ S.on \in Transactions
  /\ S.by \in Here.journals => S.on \in asked[S.by]
  /\ S.by = "neighbour" => S.on \in Refunds \/ (S.on \in Claims /\ stands["claimB"] # "none")
  /\ \/ EffectSubmitted(Payer, S.on)
     \/ AnotherForm(S.on) /\ UNCHANGED <<now, world>>
     \/ stands[S.on] = "none" /\ TooLate(S.on) /\ UNCHANGED <<now, world>>
  /\ UNCHANGED views

(***************************************************************************)
(* A journal's events. `world` stays, but for what the participant learns. *)
(***************************************************************************)
Sees(what) == sees' = [sees EXCEPT ![S.by] = [sees[S.by] EXCEPT ![About] = what]]

Learns ==
  IF S.by = "participant" /\ ~known THEN PreimageSeen ELSE stands["claimB"] # "none" /\ UNCHANGED <<now, world>>

ChainFact ==
  CASE S.event \in {"LockSeen", "RefundSeen"} ->
         /\ About \in took
         /\ Sees(IF sees[S.by][About] = "final" THEN "final" ELSE "seen")
         /\ UNCHANGED <<now, world>>
    [] S.event = "ClaimSeen" ->
         /\ About \in took
         /\ Sees(IF sees[S.by][About] = "final" THEN "final" ELSE "seen")
         /\ Learns
    [] S.event \in {"LockFinal", "ClaimFinal", "RefundFinal"} ->
         /\ stands[About] = "final" /\ sees[S.by][About] \in {"seen", "final"}
         /\ Sees("final")
         /\ UNCHANGED <<now, world>>
    [] OTHER ->
         /\ About \in lost /\ sees[S.by][About] = "seen"
         /\ Sees("gone")
         /\ UNCHANGED <<now, world>>

Closes(p, holds) == closed' = IF holds THEN closed \cup {p} ELSE closed

HasLocked(p) == Own(p) \in asked[p] \/ \E t \in Legs : sees[p][t] # "none"

ByJournal ==
  CASE S.event \in {"LockSeen", "LockFinal", "LockReverted", "ClaimSeen", "ClaimFinal", "ClaimReverted",
                    "RefundSeen", "RefundFinal", "RefundReverted"} ->
         /\ ChainFact
         /\ UNCHANGED <<took, lost, verified, closed, asked>>
    [] S.event = "PreimageSeen" ->
         /\ Learns
         /\ UNCHANGED views
    [] S.event = "LockVerified" ->
         /\ stands[About] = "final" /\ sees[S.by][About] = "final"
         /\ verified' = verified \cup {S.by}
         /\ UNCHANGED <<now, world, took, lost, sees, closed, asked>>
    [] S.event = "LockRefused" ->
         /\ Closes(S.by, TRUE)
         /\ UNCHANGED <<now, world, took, lost, sees, verified, asked>>
    [] S.event = "QuoteExpired" ->
         /\ TB - now <= Quote - Ulock
         /\ Closes(S.by, S.by # "watchtower" /\ ~HasLocked(S.by))
         /\ UNCHANGED <<now, world, took, lost, sees, verified, asked>>
    [] S.event = "TimeAdvanced" ->
         /\ S.head <= Dated(S.on)
         /\ UNCHANGED <<now, world, views>>
    [] S.event = "EffectRefused" ->
         /\ S.on \in asked[S.by]
         /\ Closes(S.by, S.on \in Legs /\ stands[S.on] = "none")
         /\ UNCHANGED <<now, world, took, lost, sees, verified, asked>>
    [] S.event = "EffectIncluded" ->
         /\ S.on \in asked[S.by] /\ S.on \in took
         /\ UNCHANGED <<now, world, views>>
    [] S.event = "EffectFinal" ->
         /\ S.on \in asked[S.by] /\ stands[S.on] = "final"
         /\ UNCHANGED <<now, world, views>>
    [] S.event = "EffectVoided" ->
         /\ S.on \in asked[S.by]
         /\ S.on \in Legs => ~In(S.on)
         /\ IF S.on \in Legs /\ stands[S.on] \in {"sent", "dropped"} THEN EffectVoided(S.on)
            ELSE UNCHANGED <<now, world>>
         /\ UNCHANGED views
    [] S.event \in {"EffectSubmitted", "EffectReverted", "EffectDropped"} ->
         /\ S.on \in asked[S.by]
         /\ UNCHANGED <<now, world, views>>
    [] S.event \in {"Agreed", "QuoteCancelled", "EarlyRefundRequested"} -> UNCHANGED <<now, world, views>>
    [] OTHER -> FALSE

(***************************************************************************)
(* What a machine asks for follows from what its journal has shown it.     *)
(***************************************************************************)
OtherIsFinal(p) == sees[p][Other(p)] = "final"
MayFund(p) ==
  /\ Own(p) \notin asked[p] /\ p \notin closed
  /\ p = "participant" => p \in verified /\ OtherIsFinal(p) /\ ~known

Asks ==
  CASE S.event = "FundLeg" -> S.on = Own(S.by) /\ MayFund(S.by)
    [] S.event = "RevealAndClaim" ->
         /\ S.by = "initiator" /\ S.on = "claimB"
         /\ \/ S.on \in asked[S.by]
            \/ /\ S.by \in verified /\ S.by \notin closed
               /\ OtherIsFinal(S.by) /\ sees[S.by]["lockA"] # "none"
    [] S.event = "ClaimLeg" ->
         /\ S.on \in Claims /\ stands["claimB"] # "none"
         /\ S.by = Sender[S.on] \/ (S.by = "watchtower" /\ S.on = "claimA")
         /\ S.by = "participant" => known
    [] S.event = "RefundLeg" ->
         S.on \in Refunds /\ sees[S.by][LockOn[On[S.on]]] # "none" /\ Dated(On[S.on]) >= Timelock[On[S.on]]
    [] OTHER -> FALSE

Ended ==
  CASE S.on = "completed" ->
         /\ S.by # "initiator" => stands["claimA"] = "final"
         /\ S.by # "participant" => stands["claimB"] = "final"
    [] S.on = "refunded" ->
         IF S.by = "watchtower" THEN \A t \in Claims : ~In(t)
         ELSE stands[RefundOn[On[Own(S.by)]]] = "final"
    [] S.on = "abandoned" -> S.by # "watchtower" => ~In(Own(S.by))
    [] S.on = "lost" ->  \* by a cheat who revealed too late: nobody else may lose
         Initiator = "any" /\ stands["claimA"] = "final" /\ stands["refundB"] = "final"
    [] OTHER -> FALSE

ByOutbox ==
  /\ UNCHANGED <<now, world, took, lost, sees, verified, closed>>
  /\ CASE S.event = "VerifyLock" -> OtherIsFinal(S.by) /\ S.by \notin closed /\ UNCHANGED asked
       [] S.event = "SignEarlyRefund" ->
            /\ ~In(Own(S.by)) \/ stands[RefundOn[On[Own(S.by)]]] = "final"
            /\ UNCHANGED asked
       [] S.event = "Finished" -> Ended /\ UNCHANGED asked
       [] OTHER -> Asks /\ asked' = [asked EXCEPT ![S.by] = asked[S.by] \cup {S.on}]

(***************************************************************************)
(* The replay.                                                             *)
(***************************************************************************)
Passes ==
  /\ IF Here.bounded THEN TimeAdvanced ELSE now' = S.at /\ UNCHANGED world
  /\ UNCHANGED <<trace, step, views>>

Takes ==
  /\ CASE S.of = "chain" -> ByChain
       [] S.of = "wire" -> ByWire
       [] S.of = "journal" -> ByJournal
       [] S.of = "outbox" -> ByOutbox
  /\ step' = step + 1
  /\ UNCHANGED trace

(* A claim and a refund of one leg never both stand in what was played, either; and clocks kept their bounds. *)
Kept == NoRace /\ \A c \in Chains : ahead[c] \in -Lag..Lead

(* A participant whose journal is not there may have learnt the preimage by the time at which it claims; so may a
   neighbour who claims for it. *)
Unnoted ==
  /\ "participant" \notin Here.journals \/ S.by = "neighbour"
  /\ S.of = "wire" /\ S.on = "claimA"
  /\ PreimageSeen
  /\ UNCHANGED <<trace, step, views>>

Replay == Kept /\ step <= Len(Here.steps) /\ (Unnoted \/ IF now < S.at THEN Passes ELSE Takes)

Replayed == TraceInit /\ [][Replay]_<<vars, views, trace, step>>

Accepted == Kept /\ step > Len(Here.steps)
=============================================================================
