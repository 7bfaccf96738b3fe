"""What each refusal means in general, and what to do: shown where a rule's own sentence has no form in saying.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from api.i18n import N_


@dataclass(frozen=True, slots=True)
class General:
    """Messages of the catalogue: what is refused and why, and what to do."""

    told: str
    remedy: str


GENERAL: Mapping[str, General] = MappingProxyType(
    {
        "invalid_request": General(
            N_("Something in the form or the request does not have the form that is asked for."),
            N_("Correct what is named and send it again."),
        ),
        "unknown_record": General(
            N_("The record was removed, is at another site, or its name is written differently."),
            N_("Look it up in its list."),
        ),
        "duplicate_record": General(
            N_("Another record has the same name or key."),
            N_("Use the record that exists, or choose another name."),
        ),
        "sign_in_required": General(
            N_("The session is over, or nobody is signed in."),
            N_("Sign in and repeat the step."),
        ),
        "sign_in_failed": General(
            N_("Login and password do not belong together."),
            N_("Try again, or ask an administrator for a new password."),
        ),
        "too_many_attempts": General(
            N_("There were too many failed attempts in a short time."),
            N_("Wait a while, then try again."),
        ),
        "not_permitted": General(
            N_("The step needs a role that you do not have, or not at every site that it concerns."),
            N_("Ask an administrator for the role, or somebody who has it."),
        ),
        "cross_site_request": General(
            N_("The request did not come from a page of this console."),
            N_("Open the page anew and repeat the step there."),
        ),
        "idempotency_mismatch": General(
            N_("The key of this request was used for another one before."),
            N_("Use a new key for every new request."),
        ),
        "unknown_address": General(
            N_("The address leads nowhere; the page may have moved."),
            N_("Start from the menu."),
        ),
        "method_not_allowed": General(
            N_("This address takes another kind of request."),
            N_("Start from the menu."),
        ),
        "request_too_large": General(
            N_("More was sent at once than is taken."),
            N_("Send less at once, or in several parts."),
        ),
        "unsupported_file": General(
            N_("The file is of another kind than is taken here."),
            N_("Save it as one of the kinds that the page names."),
        ),
        "record_in_use": General(
            N_("Other records depend on this one, or contradict it."),
            N_("Change those records first."),
        ),
        "stale_record": General(
            N_("Somebody else changed it after you read it; nothing was overwritten."),
            N_("Load the page anew, and change what you find then."),
        ),
        "wrong_site": General(
            N_("What belongs together must be at one site."),
            N_("Choose records of the same site."),
        ),
        "too_many_files": General(
            N_("The asset has as many files as are kept for one."),
            N_("Remove one that nobody needs any more."),
        ),
        "invalid_import": General(
            N_("Cells of the table do not hold what their columns take; nothing was changed."),
            N_("Correct the rows that are listed and choose the file again."),
        ),
        "service_unavailable": General(
            N_("A part of the service does not answer just now; nothing was changed."),
            N_("Try again in a few seconds."),
        ),
        "internal_error": General(
            N_("The fault lies with the service, and is in its log."),
            N_("Tell whoever runs the service when it happened."),
        ),
        "stale_version": General(
            N_("Somebody else worked on the ticket after you read it."),
            N_("Read the ticket again and repeat the step if it is still right."),
        ),
        "not_a_legal_step": General(
            N_("The state that it is in now does not allow the step."),
            N_("See the next steps that the page offers."),
        ),
        "missing_fact": General(
            N_("Something that the step requires was not filled in."),
            N_("Fill in what is named."),
        ),
        "invalid_fact": General(
            N_("Something that was filled in is not what the step takes."),
            N_("Correct what is named."),
        ),
        "empty_phrase": General(
            N_("The text says that work goes on, but not what was done or found."),
            N_("Name the action or the finding."),
        ),
        "gate_not_passed": General(
            N_("Something that must be there before the ticket is closed is missing."),
            N_("See the checklist of the ticket."),
        ),
        "already_open": General(
            N_("There is one open ticket for a fault, never two."),
            N_("Add what you know to that ticket."),
        ),
        "already_claimed": General(
            N_("Somebody else was quicker."),
            N_("Take another ticket."),
        ),
        "not_eligible": General(
            N_("A rule of dispatch leaves the engineer out."),
            N_("Take a ticket that fits, or ask a supervisor."),
        ),
        "link_unknown": General(
            N_("The address was changed or cut off."),
            N_("Open the link exactly as you received it."),
        ),
        "link_used": General(
            N_("A link works once; the answer is recorded."),
            N_("Ask the engineer for another link if something changed."),
        ),
        "dispatch_frozen": General(
            N_("Too many P0 are open at this site: less urgent tickets are not given out until they are cleared."),
            N_("Help with one of them, or ask a supervisor."),
        ),
        "invalid_window": General(
            N_("A critical window is either once, with two times, or weekly, with weekdays and times of the day."),
            N_("Correct the window's times."),
        ),
        "link_expired": General(
            N_("The link was open for a limited time."),
            N_("Ask the engineer for a new link."),
        ),
        "codes_exhausted": General(
            N_("Every tracking code of this kind has been given."),
            N_("Open the ticket under another origin."),
        ),
        "invalid_rule": General(
            N_("The rule contradicts itself, or names what is not known."),
            N_("Correct what is named."),
        ),
        "invalid_regimes": General(
            N_("The regimes contradict themselves, or name a metric or a type that is not known."),
            N_("Correct what is named."),
        ),
        "invalid_backtest": General(
            N_("The backtest contradicts itself, or asks for what is not stored."),
            N_("Correct what is named."),
        ),
        "too_many_backtests": General(
            N_("As many backtests wait as may wait at once."),
            N_("Wait a while, then try again."),
        ),
        "invalid_library": General(
            N_("The file of failure modes contradicts itself."),
            N_("Correct the file."),
        ),
        "invalid_policy": General(
            N_("The policy contradicts itself, or lacks a field."),
            N_("Correct what is named and save it again."),
        ),
        "invalid_calendar": General(
            N_("The calendar contradicts itself."),
            N_("Correct the calendar."),
        ),
        "invalid_feed": General(
            N_("The feed's name, topics or settings cannot be used as they are."),
            N_("Correct what is named; the presets show settings that work."),
        ),
        "invalid_gateway": General(
            N_("A gateway speaks and listens for the devices of its own site and feeds only."),
            N_("Narrow the filters, or add the gateway at the other site."),
        ),
        "too_many_credentials": General(
            N_("A few credentials in force are enough to change from one to the next."),
            N_("Revoke those that nothing uses."),
        ),
        "feed_in_use": General(
            N_("Devices have their address on this feed."),
            N_("Give its devices another address, or turn the feed off."),
        ),
    }
)
