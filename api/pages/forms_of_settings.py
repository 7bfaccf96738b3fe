"""Forms of what is said of policies, operating regimes and bearings that do not hold together; see saying.py."""

from __future__ import annotations

from collections.abc import Sequence

from api.i18n import N_

SETTING_FORMS: Sequence[str] = (
    # Policies
    N_("a policy of {names}"),
    N_("Choose one of the list."),
    N_("version {number} of the policy"),
    N_("version {number}"),
    N_("Read the policy again and repeat the change."),
    N_("at least one field that differs from the version in force"),
    N_("the same values"),
    N_("Change a field first."),
    N_("Correct the policy and send it again."),
    N_("the fields name = '{name}', {names}"),
    N_("name = '{name}' and {names}"),
    N_("'budget.sites' with ids of sites"),
    N_("'{name}' with the fields {names}"),
    N_("'budget.sites' as a table of at most {count} sites"),
    N_("reserve_from_probability above 0, at most 1"),
    N_("{name} as a whole number from {least} to {most}"),
    N_("{name} as a number from {least} to {most}"),
    # Operating regimes
    N_("an asset type is the same at every site"),
    N_("a metric, one to seven rising edges, and the seconds a change takes to settle"),
    N_("Correct the regimes."),
    N_("the metric that tells the regime has 1 to 128 characters, got {got}"),
    N_("1 to {most} edges part the regimes, got {count}"),
    N_("edges must be numbers, got {got}"),
    N_("edges must rise, got {got}"),
    N_("an asset type that exists"),
    N_("Create the asset type first, or correct the name."),
    # Bearings
    N_("expected either geometry or orders, got both or neither"),
    N_("a bearing has 3 to 200 rolling elements, got {count}"),
    N_("the ball diameter must be above 0 and below the pitch diameter, got {got}"),
    N_("the contact angle lies between 0 and 90 degrees, got {got}"),
    N_("the shaft must turn to have fault frequencies, got {speed} rpm"),
    N_("{part} must be a multiple of the shaft speed in (0, 100], got {got}"),
)
