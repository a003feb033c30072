"""`/v1/alerts`, `/v1/rules`, `/v1/rates` and `/v1/cases`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_account, parse_asset
from core.model.types import AccountId, chain_of
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, PageCursors, Places, Route, read_body, read_query, respond
from indexer.projections.histories import complete_since
from indexer.store import ChainRow, chain_rows
from regulator_api import answers, sealing
from regulator_api.access.scope import SCOPE, Scope, scope_of
from regulator_api.bodies import AsOfView
from regulator_api.knowledge.store import LabelStore
from regulator_api.rules import alerts, bodies, cases, versions
from regulator_api.rules import bundles as alert_bundles
from regulator_api.rules.alerts import AlertFilter, AlertRow
from regulator_api.rules.catalogue import FOREVER_S, TYPOLOGIES, RuleSet
from regulator_api.rules.dry_run import dry_run
from regulator_api.rules.observation import Alert, Reference
from regulator_api.rules.parameters import units_of
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.words import figure_units, sentence

MAX_EXAMPLES: Final = 20
MAX_DRY_RUNS: Final = 2
"""Dry runs at a time: each reads and computes for seconds."""
PROBLEMS: Final = (
    (404, "There is no such thing."),
    (409, "It contradicts what is stored, or was decided already."),
    (422, "A value is not in its form, or a cursor is not one of this list."),
    (503, "The database is locked, or too much of this kind is under way: try again."),
)


class Rules:
    """Answers about rules, alerts and cases."""

    def __init__(self, database: Database, clock: Clock, cursors: PageCursors) -> None:
        self._database = database
        self._clock = clock
        self._cursors = cursors
        self._labels = LabelStore()
        self._dry_runs = Places("dry runs", MAX_DRY_RUNS, 1)

    # --- alerts --------------------------------------------------------------------------------------------------

    async def get_alerts(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, bodies.AlertsQuery), scope_of(request)
        wanted = AlertFilter(
            query.typology, query.rule, _subject(query.subject), query.since_s, query.until_s, query.withdrawn
        )
        listing = f"alerts {wanted} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)

        def read(connection: Connection) -> tuple[list[AlertRow], bodies.RulesStateView, list[ChainRow]]:
            self._check_names(connection, query.rule, wanted.subject, scope)
            if query.after_change is not None:
                found = alerts.changed_alerts(connection, scope, query.after_change, query.limit, wanted)
            else:
                found = alerts.list_alerts(connection, scope, wanted, query.limit + 1, sealed)
            return found, _state(connection), chain_rows(connection)

        found, state, chains = await self._database.read(read)
        items: Iterable[AlertRow] = found
        following = None
        if query.after_change is None:
            page = self._cursors.page(
                listing, found, query.limit, lambda one: (one.alert.last.trigger.time_s, one.alert.alert_id)
            )
            items, following = page.items, page.next
        shown = [alert_view(one, chains) for one in items]
        return respond(bodies.AlertsPage(items=shown, next=following, as_of=_as_of(chains), rules=state))

    async def get_alert(self, request: web.Request) -> web.Response:
        scope, alert_id = request[SCOPE], request.match_info["id"]
        row, state, chains = await self._database.read(
            lambda c: (alerts.find_alert(c, scope, alert_id), _state(c), chain_rows(c))
        )
        return respond(bodies.AlertAnswer(alert=alert_view(row, chains), as_of=_as_of(chains), rules=state))

    async def get_bundle(self, request: web.Request) -> web.Response:
        raw = await self.bundle(request[SCOPE], request.match_info["id"])
        return web.Response(body=raw, content_type="application/json")

    async def bundle(self, scope: Scope, alert_id: str) -> bytes:
        """Return the bundle of an alert. Raise as `regulator_api.rules.bundles.make`."""
        return await self._database.read(lambda connection: self._bundle(connection, scope, alert_id))

    def _bundle(self, connection: Connection, scope: Scope, alert_id: str) -> bytes:
        row = alerts.find_alert(connection, scope, alert_id)
        if row.withdrawn:
            raise RejectedError("the alert was withdrawn: what it was computed from is not what the chains say now")
        raw = sealing.seal(alert_bundles.KIND, alert_bundles.make(connection, self._knowledge(connection), row.alert))
        # What leaves is checked as its reader will: the labels may be newer than what the rules have read.
        sealing.open_bundle(raw)
        return raw

    def _check_names(self, connection: Connection, rule: str | None, subject: str | None, scope: Scope) -> None:
        """Raise for names that nothing can have: a list of their alerts would look as if they were quiet."""
        if rule is not None:
            versions.rule_row(connection, rule)
        if subject is not None and ":" in subject:
            followed = [row.chain for row in chain_rows(connection)]
            if chain_of(AccountId(subject)) not in followed:
                raise RejectedError(f"{subject} is on a chain that is not followed: use one of {', '.join(followed)}")
        elif subject is not None and scope.unrestricted and not self._labels.at(connection).accounts_of(subject):
            raise RejectedError(f"unknown entity {subject}: GET /v1/entities lists them")

    def _knowledge(self, connection: Connection) -> Knowledge:
        return Knowledge(
            RuleSet(versions.load_rules(connection)),
            self._labels.at(connection),
            versions.load_rates(connection),
            complete_since(connection),
        )

    # --- rules ---------------------------------------------------------------------------------------------------

    async def get_rules(self, request: web.Request) -> web.Response:
        rows, state = await self._database.read(lambda c: (versions.list_rules(c), _state(c)))
        return respond(bodies.RulesAnswer(items=[_rule_view(row) for row in rows], state=state))

    async def get_rule(self, request: web.Request) -> web.Response:
        rule_id = request.match_info["id"]
        return respond(_rule_view(await self._database.read(lambda c: versions.rule_row(c, rule_id))))

    async def post_rule(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.RuleBody)
        _check_unrestricted(request)
        who, now_ns = request[CALLER].name, self._clock.now_ns()
        row = await self._database.write(
            lambda c: versions.propose_rule(
                c,
                typology=body.typology,
                parameters=body.parameters,
                jurisdiction=body.jurisdiction,
                from_s=body.from_s,
                to_s=body.to_s,
                reason=body.reason,
                who=who,
                now_ns=now_ns,
            )
        )
        return respond(_rule_view(row), status=201)

    async def post_activate(self, request: web.Request) -> web.Response:
        return await self._decide(request, True)

    async def post_reject(self, request: web.Request) -> web.Response:
        return await self._decide(request, False)

    async def _decide(self, request: web.Request, accept: bool) -> web.Response:
        _check_unrestricted(request)
        rule_id, who, now_ns = request.match_info["id"], request[CALLER].name, self._clock.now_ns()
        row = await self._database.write(
            lambda c: versions.decide_rule(c, rule_id, accept=accept, who=who, now_ns=now_ns)
        )
        return respond(_rule_view(row))

    async def post_dry_run(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.DryRunBody)
        _check_unrestricted(request)
        rule_id = request.match_info["id"]
        until_s = FOREVER_S if body.until_s is None else body.until_s
        if body.since_s >= until_s:
            raise RejectedError("since_s is not before until_s: nothing could be found")
        with self._dry_runs.taken(request[CALLER].name):
            row, knowledge, chains = await self._database.read(
                lambda c: (versions.rule_row(c, rule_id), self._knowledge(c), chain_rows(c))
            )
            result = await dry_run(self._database, knowledge, row.rule, body.since_s, until_s, body.max_moves)
        tried, now = (
            {(one.subject, one.anchor, one.first) for one in some} for some in (result.tried, result.in_force)
        )
        rows = (
            AlertRow(one, row.rule.typology.name, False, knowledge.labels.version, 0, 0, None) for one in result.tried
        )
        return respond(
            bodies.DryRunAnswer(
                rule=rule_id,
                complete=result.complete,
                subjects=result.subjects,
                moves=result.moves,
                alerts=len(result.tried),
                in_force=len(result.in_force),
                only_new=len(tried - now),
                only_in_force=len(now - tried),
                examples=[alert_view(one, chains) for _, one in zip(range(MAX_EXAMPLES), rows, strict=False)],
                as_of=_as_of(chains),
            )
        )

    async def get_rates(self, request: web.Request) -> web.Response:
        query = read_query(request, bodies.RatesQuery)
        asset = None if query.asset is None else parse_asset(query.asset)
        listing = f"rates {asset}"
        sealed = self._cursors.open(listing, query.cursor)
        found = await self._database.read(lambda c: versions.list_rates(c, asset, query.limit + 1, sealed))
        if asset is not None and sealed is None and not found:
            raise NotFoundError(f"{asset} has no rate")
        page = self._cursors.page(listing, found, query.limit, lambda one: (one.asset, one.from_s))
        items = [
            bodies.RateView(
                asset=one.asset,
                from_s=one.from_s,
                minor_units=str(one.minor_units),
                base_units=str(one.base_units),
                source=one.source,
            )
            for one in page.items
        ]
        return respond(bodies.RatesPage(items=items, next=page.next))

    # --- cases ---------------------------------------------------------------------------------------------------

    async def get_cases(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, bodies.CasesQuery), scope_of(request)
        listing = f"cases {query.status} {query.assignee} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)

        def read(connection: Connection) -> list[tuple[cases.Case, list[str]]]:
            found = cases.list_cases(connection, scope, query.status, query.assignee, query.limit + 1, sealed)
            return [(one, cases.alerts_of(connection, one.case_id)) for one in found]

        found = await self._database.read(read)
        page = self._cursors.page(listing, found, query.limit, lambda one: (one[0].opened_ns, one[0].case_id))
        return respond(bodies.CasesPage(items=[_case_view(*one) for one in page.items], next=page.next))

    async def post_case(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.CaseBody)

        def write(connection: Connection, scope: Scope, who: str, now_ns: int) -> cases.Case:
            case = cases.open_case(
                connection,
                scope,
                title=body.title,
                jurisdiction=body.jurisdiction,
                assignee=body.assignee,
                who=who,
                now_ns=now_ns,
            )
            for alert_id in dict.fromkeys(body.alerts):
                case = self._attach(connection, scope, case, alert_id, who, now_ns)
            return case

        return await self._written(request, write, status=201)

    async def get_case(self, request: web.Request) -> web.Response:
        return respond(await self._document(request))

    async def get_export(self, request: web.Request) -> web.Response:
        document = await self._document(request)
        response = respond(document)
        response.headers["Content-Disposition"] = f'attachment; filename="case-{document.case.id}.json"'
        return response

    async def _document(self, request: web.Request) -> bodies.CaseDocument:
        scope, case_id = request[SCOPE], request.match_info["id"]

        def read(connection: Connection) -> bodies.CaseDocument:
            case = cases.read_case(connection, scope, case_id)
            chains = chain_rows(connection)
            attached = cases.alerts_of(connection, case_id)
            rows = [row for one in attached if (row := alerts.maybe_alert(connection, scope, one)) is not None]
            return bodies.CaseDocument(
                case=_case_view(case, attached),
                entries=[_entry_view(one) for one in cases.entries_of(connection, case_id)],
                alerts=[alert_view(row, chains) for row in rows],
            )

        return await self._database.read(read)

    async def post_note(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.NoteBody)
        return await self._changed(request, lambda c, case, who, now: cases.add_entry(
            c, case, "note", who, now, {"text": body.text}
        ))  # fmt: skip

    async def post_assign(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.AssignBody)
        return await self._changed(request, lambda c, case, who, now: cases.add_entry(
            c, case, "assigned", who, now, {"assignee": body.assignee}, assignee=body.assignee
        ))  # fmt: skip

    async def post_attach(self, request: web.Request) -> web.Response:
        body, scope = await read_body(request, bodies.AttachBody), request[SCOPE]
        if (body.alert is None) == (body.document is None) or (body.document is not None and body.name is None):
            raise RejectedError("attach either an alert, or a document with a name")

        def change(connection: Connection, case: cases.Case, who: str, now_ns: int) -> cases.Case:
            if body.alert is not None:
                return self._attach(connection, scope, case, body.alert, who, now_ns)
            attached = {"name": body.name, "document": body.document}
            return cases.add_entry(connection, case, "evidence", who, now_ns, attached)

        return await self._changed(request, change)

    async def post_close(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.CloseBody)
        return await self._changed(
            request, lambda c, case, who, now: cases.close_case(c, case, body.outcome, body.reason, who, now)
        )

    async def post_reopen(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.ReopenBody)
        return await self._changed(request, lambda c, case, who, now: cases.reopen_case(c, case, body.reason, who, now))

    def _attach(
        self, connection: Connection, scope: Scope, case: cases.Case, alert_id: str, who: str, now_ns: int
    ) -> cases.Case:
        alerts.find_alert(connection, scope, alert_id)
        try:
            bundle: Any = msgspec.json.decode(self._bundle(connection, scope, alert_id))
        except RejectedError as error:
            # The case has the alert all the same, and the reason for which nobody can run it again.
            bundle = {"missing": error.message}
        return cases.attach_alert(connection, case, alert_id, bundle, who, now_ns)

    async def _changed(
        self, request: web.Request, change: Callable[[Connection, cases.Case, str, int], cases.Case]
    ) -> web.Response:
        case_id = request.match_info["id"]
        return await self._written(
            request,
            lambda c, scope, who, now: change(c, cases.find_case(c, scope, case_id), who, now),
        )

    async def _written(
        self,
        request: web.Request,
        write: Callable[[Connection, Scope, str, int], cases.Case],
        status: int = 200,
    ) -> web.Response:
        scope, who, now_ns = request[SCOPE], request[CALLER].name, self._clock.now_ns()

        def work(connection: Connection) -> tuple[cases.Case, list[str]]:
            case = write(connection, scope, who, now_ns)
            return case, cases.alerts_of(connection, case.case_id)

        return respond(_case_view(*await self._database.write(work)), status=status)


def routes(rules: Rules) -> list[Route]:
    """Everything about rules, alerts and cases."""
    return [
        _route("GET", "/v1/alerts", rules.get_alerts, "Alerts", bodies.AlertsPage, "read", bodies.AlertsQuery),
        _route("GET", "/v1/alerts/{id}", rules.get_alert, "One alert", bodies.AlertAnswer, "read"),
        _route(
            "GET", "/v1/alerts/{id}/bundle", rules.get_bundle, "An alert to run again", bodies.BundleAnswer, "evidence"
        ),
        _route("GET", "/v1/rules", rules.get_rules, "Rules and their versions", bodies.RulesAnswer, "read"),
        _route("GET", "/v1/rules/{id}", rules.get_rule, "One rule", bodies.RuleView, "read"),
        _route(
            "POST",
            "/v1/rules",
            rules.post_rule,
            "Propose a rule",
            bodies.RuleView,
            "rules",
            body=bodies.RuleBody,
            status=201,
        ),
        _route(
            "POST",
            "/v1/rules/{id}/dry-run",
            rules.post_dry_run,
            "Try a rule on the past",
            bodies.DryRunAnswer,
            "rules",
            body=bodies.DryRunBody,
        ),
        _route("POST", "/v1/rules/{id}/activate", rules.post_activate, "Put a rule in force", bodies.RuleView, "rules"),
        _route("POST", "/v1/rules/{id}/reject", rules.post_reject, "Reject a rule", bodies.RuleView, "rules"),
        _route(
            "GET", "/v1/rates", rules.get_rates, "What assets are worth", bodies.RatesPage, "read", bodies.RatesQuery
        ),
        _route("GET", "/v1/cases", rules.get_cases, "Cases", bodies.CasesPage, "cases", bodies.CasesQuery),
        _route(
            "POST",
            "/v1/cases",
            rules.post_case,
            "Open a case",
            bodies.CaseView,
            "cases",
            body=bodies.CaseBody,
            status=201,
        ),
        _route("GET", "/v1/cases/{id}", rules.get_case, "One case", bodies.CaseDocument, "cases"),
        _route("GET", "/v1/cases/{id}/export", rules.get_export, "A case as a file", bodies.CaseDocument, "cases"),
        *_case_routes(rules),
    ]


def _case_routes(rules: Rules) -> list[Route]:
    view, scope = bodies.CaseView, "cases"
    return [
        _route("POST", "/v1/cases/{id}/notes", rules.post_note, "Add a note", view, scope, body=bodies.NoteBody),
        _route(
            "POST", "/v1/cases/{id}/assign", rules.post_assign, "Assign a case", view, scope, body=bodies.AssignBody
        ),
        _route("POST", "/v1/cases/{id}/attach", rules.post_attach, "Attach", view, scope, body=bodies.AttachBody),
        _route(
            "POST",
            "/v1/cases/{id}/close",
            rules.post_close,
            "Propose to close a case, or close it",
            view,
            scope,
            body=bodies.CloseBody,
        ),
        _route(
            "POST", "/v1/cases/{id}/reopen", rules.post_reopen, "Reopen a case", view, scope, body=bodies.ReopenBody
        ),
    ]


def _route(
    method: str,
    path: str,
    handler: Callable[[web.Request], object],
    summary: str,
    answer: type,
    scope: str,
    query: type[msgspec.Struct] | None = None,
    body: type[msgspec.Struct] | None = None,
    status: int = 200,
) -> Route:
    return Route(
        method,
        path,
        handler,  # type: ignore[arg-type]
        summary,
        query=query,
        body=body,
        answer=answer,
        status=status,
        scope=scope,
        problems=PROBLEMS,
        tag="rules",
    )


def _check_unrestricted(request: web.Request) -> None:
    """Raise `RejectedError` unless the caller sees everything: a rule is about the accounts of all jurisdictions."""
    if not request[SCOPE].unrestricted:
        raise RejectedError("rules are proposed, tried and decided by callers that see all jurisdictions")


def _subject(text: str | None) -> str | None:
    """An account in its canonical spelling, or an entity's id. Raise `RejectedError` for a malformed account."""
    return parse_account(text) if text is not None and ":" in text else text


def _state(connection: Connection) -> bodies.RulesStateView:
    now = alerts.rules_state(connection)
    return bodies.RulesStateView(
        seq=now.seq, label_version=now.label_version, changed=now.changed, incomplete=now.incomplete
    )


def _as_of(chains: Sequence[ChainRow]) -> list[AsOfView]:
    return [answers.as_of_view(row) for row in chains]


def _move_view(one: Reference) -> bodies.MoveView:
    place = one.place
    return bodies.MoveView(
        chain=place.chain,
        height=place.height,
        index=place.event_index,
        direction="in" if place.direction else "out",
        time_s=place.time_s,
        account=one.account,
    )


def alert_view(row: AlertRow, chains: Sequence[ChainRow]) -> bodies.AlertView:
    """Return an alert as it leaves; `chains` say which blocks are final."""
    alert: Alert = row.alert
    final = {one.chain: one.finalized.height for one in chains if one.finalized is not None}
    figures = dict(alert.last.figures)
    triggered = next((one.account for one in alert.last.moves if one.place == alert.last.trigger), alert.subject)
    known = TYPOLOGIES.get(row.typology)
    return bodies.AlertView(
        id=alert.alert_id,
        typology=row.typology,
        title="" if known is None else known.title,
        rule=alert.rule,
        subject=alert.subject,
        explanation=sentence(row.typology, figures),
        figures={name: str(value) for name, value in figures.items()},
        figure_units=figure_units(figures),
        moves=[_move_view(one) for one in alert.last.moves],
        others=list(alert.last.others),
        first=_move_view(Reference(alert.first, triggered)),
        last=_move_view(Reference(alert.last.trigger, triggered)),
        observations=alert.observations,
        final=all(one.place.height <= final.get(one.place.chain, -1) for one in alert.last.moves),  # type: ignore[call-overload]
        withdrawn=row.withdrawn,
        label_version=row.label_version,
        found_ns=str(row.found_ns),
        changed=row.changed,
        case_id=row.case_id,
    )


def _rule_view(row: versions.RuleRow) -> bodies.RuleView:
    rule = row.rule
    return bodies.RuleView(
        id=rule.rule_id,
        typology=rule.typology.name,
        title=rule.typology.title,
        version=row.version,
        parameters=msgspec.to_builtins(rule.parameters),
        parameter_units=units_of(type(rule.parameters)),
        jurisdiction=rule.jurisdiction,
        from_s=rule.from_s,
        to_s=None if rule.to_s >= FOREVER_S else rule.to_s,
        state=row.state,
        reason=row.reason,
        proposed_by=row.proposed_by,
        proposed_ns=str(row.proposed_ns),
        decided_by=row.decided_by,
        decided_ns=None if row.decided_ns is None else str(row.decided_ns),
    )


def _case_view(case: cases.Case, attached: list[str]) -> bodies.CaseView:
    return bodies.CaseView(
        id=case.case_id,
        title=case.title,
        status=case.status,
        assignee=case.assignee,
        jurisdiction=case.jurisdiction,
        opened_by=case.opened_by,
        opened_ns=str(case.opened_ns),
        closing_by=case.closing_by,
        closed_by=case.closed_by,
        closed_ns=None if case.closed_ns is None else str(case.closed_ns),
        outcome=case.outcome,
        alerts=attached,
        entries=case.entries,
    )


def _entry_view(entry: cases.Entry) -> bodies.CaseEntryView:
    return bodies.CaseEntryView(
        number=entry.number,
        kind=entry.kind,
        who=entry.who,
        time_ns=str(entry.time_ns),
        body=dict(entry.body),
        sha256=entry.sha256.hex(),
    )
