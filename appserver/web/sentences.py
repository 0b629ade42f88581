"""Sentences of other rooms in the language of the page.

Rooms that know no language say what is wrong in English. This table takes their sentences apart: the pattern on the
left is found, the message on the right is translated, the groups are put in. What is not in the table stays English.
"""

# ruff: noqa: E501 (a table: one sentence a row)

from __future__ import annotations

import re

from appserver.web.i18n import N_, gettext

_ROWS = (
    # why no downlink answers an uplink
    (r"nothing to say", N_("nothing to say")),
    (r"no window: no gateway can send in time", N_("no window: no gateway can send in time")),
    (r"what waits does not fit into a frame at this data rate", N_("what waits does not fit into a frame at this data rate")),
    (r"FCntDown has reached its end", N_("FCntDown has reached its end")),
    (r"late: data only", N_("late: data only")),
    (r"the device has a newer session", N_("the device has a newer session")),
    (r"a relay: answered after the frame within", N_("a relay: answered after the frame within")),
    # what a device answers to a query of its archive
    (r"no such record in the archive", N_("no such record in the archive")),
    (r"meter does not answer", N_("the meter does not answer its module")),
    # fields
    (r"must be (\d+) hexadecimal digits", N_("must be %s hexadecimal digits")),
    (r"must not be empty", N_("must not be empty")),
    (r"must have at most (\d+) characters", N_("must have at most %s characters")),
    (r"String should have at most (\d+) characters?", N_("must have at most %s characters")),
    (r"String should have at least (\d+) characters?", N_("must have at least %s characters")),
    (r"String should match pattern .*", N_("has characters that do not belong there")),
    (r"must not contain control characters", N_("must not contain control characters")),
    (r"must be one of (.*)", N_("must be one of %s")),
    (r"Input should be (?:greater|more) than or equal to (.*)", N_("must be at least %s")),
    (r"Input should be less than or equal to (.*)", N_("must be at most %s")),
    (r"Input should be a valid .*|Unable to parse .*", N_("is not written as it should be")),
    (r"a(?: new)? [\w ]+ needs one", N_("must not be empty")),
    (r"Field required", N_("must not be empty")),
    (r"Decimal input should have no more than .*", N_("has too many digits")),
    (r"must be a whole number from (.*) to (.*)", N_("must be a whole number from %s to %s")),
    (r"must be a decimal number from (.*) to (.*)", N_("must be a number from %s to %s")),
    (r"must be a date .*", N_("must be a date such as 01.11.2026")),
    (r"must be base64 text", N_("must be base64 text")),
    (r"must be addresses or networks like .*", N_("must be addresses or networks like 10.0.0.0/8")),
    (r"must be a GUID.*", N_("must be a GUID")),
    (r"must be 10 or 12 digits", N_("must be 10 or 12 digits")),
    (r"must be the IANA name of a time zone.*", N_("must be an IANA time zone such as Europe/Moscow")),
    (r"give a profile, or mac_version with region and class", N_("choose a profile")),
    (r"device \w+: an OTAA device needs its AppKey", N_("a device that joins over the air needs its AppKey")),
    # what residents send
    (r"The photo is larger than (\d+) MiB", N_("The photo is larger than %s MiB")),
    (r"The photo has too many pixels; send a smaller one", N_("The photo has too many pixels; send a smaller one")),
    (r"This is not a photo: .*", N_("This is not a photo: send a JPEG, PNG or WebP picture")),
    (r"The meter is heard by radio: nothing needs to be entered", N_("The meter is heard by radio: nothing needs to be entered")),
    (r"This is not a reading: .*", N_("This is not a reading: digits, at most six after the comma")),
    (r"The value is less than the last known one; .*", N_("The value is less than the last known one; look again, or write to us")),
    (r"So much cannot have run through; .*", N_("So much cannot have run through; look again where the comma is")),
    (r"This is not a meter of your flat", N_("This is not a meter of your flat")),
    (r"(\d+) of your requests are open; .*", N_("%s of your requests are open; wait for an answer first")),
    (r"These premises have no open account; .*", N_("These premises have no open account; open one first")),
    # rows of a file
    (r"(.*) is not a number", N_("%s is not a number")),
    (r"(.*) is not a whole number", N_("%s is not a whole number")),
    (r"(.*) is not a date; write it as .*", N_("%s is not a date; write it as 01.11.2026")),
    (r"(.*) is not known; use one of (.*)", N_("%s is not known; use one of: %s")),
    (r"('.*') is not what belongs there", N_("%s is not what belongs there")),
    (r"there is no such row in (\w+): (.*)", N_("the table %s has no such row: %s")),
    (r"the act of an installation is not rewritten by an import", N_("the act of an installation is not rewritten by an import")),
    (r"a binding is not rewritten by an import; close it, bind anew", N_("a binding is not rewritten by an import; close it, bind anew")),
    (r"The sheet (.*) is none of (.*)", N_("The sheet %s is none of these: %s")),
    (r"A CSV file holds one table; name it: .*", N_("A CSV file holds one table: choose which")),
    (r"the column (.*) is none of (.*), or is twice there", N_("the column %s is none of these, or is twice there: %s")),
    (r"(?:an?|a new) ([\w ]+) (?:that is (\w+) )?cannot become (\w+); (.*)", N_("this change of state is not possible")),
    (r"is a placeholder, not a key", N_("is a placeholder, not a key")),
    (r"is needed with (.*)", N_("is needed with %s")),
    (r"an individual meter belongs to premises", N_("a flat meter belongs to premises")),
    (r"row (\d+) gives device (.*) another one", N_("row %s gives device %s another one")),
    (r"device (.*) in row (\d+) has the same key; keys must differ", N_("device %s in row %s has the same key")),
    (r"row (\d+) is about this meter already", N_("row %s is about this meter already")),
    (r"this meter hangs at another point; remove it there first", N_("this meter hangs at another point; remove it there first")),
    (r"row (\d+) says (.*), this one (.*)", N_("row %s says %s, this one %s")),
    (r"The file is empty", N_("The file is empty")),
    (r"The file has headings and no rows", N_("The file has headings and no rows")),
    (r"This is an old XLS file; save it as XLSX or CSV", N_("This is an old XLS file; save it as XLSX or CSV")),
    (r"The XLSX file is damaged: .*|The XLSX file cannot be read: .*", N_("The XLSX file is damaged")),
    (r"The CSV file cannot be read: .*", N_("The CSV file is damaged")),
    (r"The file is neither UTF-8 nor .*", N_("The file is neither UTF-8 nor Windows-1251 text, nor XLSX")),
    (r"No row of headings was found\..*", N_("No row of headings was found: at least a serial number and an address are needed")),
    (r"These columns are missing: (.*)", N_("These columns are missing: %s")),
    (r"The column (.*) stands there twice", N_("The column %s stands there twice")),
    (r"The network refuses the devices: (.*)", N_("The network refuses the devices: %s")),
    (r"Nothing was imported: .*", N_("Nothing was imported: the network process does not answer")),
    (r"The trial run of this import is not without errors", N_("The trial run of this import is not without errors")),
    (r"The file is not kept any more; upload it again", N_("The file is not kept any more; upload it again")),
    (r"DevEUI (\w+): (\w+) is guessable .*", N_("Device %s: its %s is guessable; ask the maker for a random one")),
    (r"(\d+) devices share one root key, DevEUI (\w+) among them: .*", N_("Devices that share one root key: %s, %s among them; whoever opens one can speak for all")),
    # corrections, periods, rules
    (r"A correction needs its reason", N_("A correction needs its reason")),
    (r"(.*) cannot be a register's value", N_("%s cannot be a register's value")),
    (r"The moment is in the future; check its date", N_("The moment is in the future; check its date")),
    (r"Nothing is known for this moment", N_("Nothing is known for this moment")),
    (r"This value holds already", N_("This value holds already")),
    (r"The period is not over yet", N_("The period is not over yet")),
    (r"The period overlaps the closed one from (.*) to (.*)", N_("The period overlaps the closed one from %s to %s")),
    (r"The period is closed already; a further revision needs its reason", N_("The period is closed already; a further revision needs its reason")),
    (r"Say why the period is opened again", N_("Say why the period is opened again")),
    (r"This closing does not stand any more: .*", N_("This closing does not stand any more: it was opened again, or closed anew")),
    (r"A rule needs its source: .*", N_("A rule needs its source: the decree or decision it rests on")),
    (r"The end must be after the start; it is excluded", N_("The end must be after the start")),
    (r"Rule (\d+) says this from (.*) on; withdraw that one first", N_("Rule %s says this from %s on; withdraw that one first")),
    (r"Rule (\d+) is withdrawn already", N_("Rule %s is withdrawn already")),
    (r"Say why the rule is withdrawn", N_("Say why the rule is withdrawn")),
    (r"is not TOML: (.*)", N_("is not TOML: %s")),
    (r"Extra inputs are not permitted", N_("is not known to this kind of rule")),
    (r"must be a mail address", N_("must be a mail address")),
    (r"The common meter is not known for the whole month", N_("The common meter is not known for the whole month")),
    (r"Premises (.*) has no area; common needs go by area", N_("Premises %s have no area; common needs go by area")),
    # codecs and profiles
    (r"The codec has faults: (.*)", N_("The codec has faults: %s")),
    (r"The codec (.*) is used by the device profile (.*); give it another codec first", N_("The codec %s is used by the device profile %s; give it another codec first")),
    (r"The file is no ZIP archive", N_("The file is no ZIP archive")),
    (r"The archive is larger than a catalogue may be; .*", N_("The archive is larger than a catalogue may be; zip one maker's folder")),
    (r"The archive has no scripts with their descriptions .*", N_("The archive has no scripts with their descriptions (.yaml and .js)")),
    (r"The archive is damaged or encrypted", N_("The archive is damaged or encrypted")),
    (r"(?:Device )?profile (.*) (?:exists already|is built in: make one of another name)", N_("There is a profile %s already; take another name")),
    (r"profile (.*) is used by (\d+) devices", N_("The profile %s is used by devices: %s")),
    (r"the device's profile has no codec", N_("the profile of the device has no codec")),
    (r"there is no codec (.*)", N_("there is no codec %s")),
    (r"channel (.*) of the device is bound to no meter", N_("channel %s of the device is bound to no meter")),
    # readings beside the radio, clocks
    (r"There is no meter (.*)", N_("There is no meter %s")),
    (r"There is no account (.*)", N_("There is no account %s")),
    (r"There is no point (.*)", N_("There is no point %s")),
    (r"No meter hung at (.*) then", N_("No meter hung at %s then")),
    (r"Several meters have the (?:number )?(.*); give .*", N_("Several meters have the %s; give the resource or the meter's id")),
    (r"It names no meter; .*|the number of the meter is missing", N_("the number of the meter is missing")),
    (r"The reading is from the future; check its date and zone", N_("The reading is from the future; check its date and zone")),
    (r"(?:.*: )?there is no (.*): '(.*)' is missing", N_("the message has no %s: %s is missing")),
    (r"The offset of this clock is not known; .*", N_("The offset of this clock is not known; wait for a frame with a time")),
    (r"A correction of this clock is under way", N_("A correction of this clock is under way")),
    (r"The clock is within its limit", N_("The clock is within its limit")),
    (r"No command is known that sets this device's clock", N_("No command is known that sets this device's clock")),
    (r"The clock is off by whole quarters of an hour: .*", N_("The clock is off by whole quarters of an hour: its zone is declared wrongly; change that")),
    (r"The clock was corrected lately; .*", N_("The clock was corrected lately; the rule says how often it may be")),
    (r"Several corrections changed nothing; .*", N_("Several corrections changed nothing; look at the device")),
    (r"the next offset does not show the step", N_("the next frame does not show it")),
    (r"in part: more than one step is needed", N_("in part: more than one step is needed")),
    (r"must start with mqtt:// or mqtts://", N_("must start with mqtt:// or mqtts://")),
    (r"(.*) is not a public address; the administrator can allow it", N_("%s is not a public address; allow it in application.webhook_allow")),
    # refusals
    (r"There is no .*", N_("There is no such thing, or not any more")),
    (r"The network process does not answer.*", N_("The network process does not answer; it is starting or was stopped. Try again in a few seconds")),
    (r"(?:Gateway|device) (\w+) (?:is registered|exists) already", N_("%s is registered already")),
    (r"The login (.*) is taken", N_("The login %s is taken")),
    (r"One administrator must remain", N_("One administrator must remain")),
    (r"The reading is from the future; check its date", N_("The reading is from the future; check its date")),
    (r"The request came from another site", N_("The request came from another site")),
    (r"The form is out of date\. Load the page again and repeat", N_("The form is out of date. Load the page again and repeat")),
    (r"This needs the role (\w+); yours is (\w+)", N_("This needs the role %s; yours is %s")),
    (r"Nobody may do this|(\w+) does not work here; allowed: .*", N_("This does not work here")),
    (r"The body is larger than this server takes|The field (?:.*) is larger than (?:.*) bytes", N_("This is larger than the server takes")),
    (r"This server does not answer to that host name.*", N_("This server does not answer to that host name")),
    (r"Something went wrong here; the server's log says what", N_("Something went wrong here; the server's log says what")),
    (r"The database does not take the request now.*", N_("The database does not take the request now; try again in a moment")),
    (r"The change contradicts what is stored.*", N_("The change contradicts what is stored: something is missing or still in use")),
    (r"The password is too short: at least 8 characters", N_("The password is too short: at least 8 characters")),
    (r"The password is too long: at most 256 characters", N_("The password is too long: at most 256 characters")),
    (r"This password is too easy to guess", N_("This password is too easy to guess")),
    (r"Sign in again", N_("Sign in again")),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), message) for pattern, message in _ROWS)
_LABELLED = re.compile(r"([\w№ ,.]{1,40}): (.+)", re.DOTALL)


def said(sentence: str) -> str:
    """``sentence`` in the language of the running request."""
    translated = gettext(sentence) if sentence else sentence
    if translated != sentence or not sentence:
        return translated
    bare, stop = (sentence[:-1], ".") if sentence.endswith(".") else (sentence, "")
    for pattern, message in _PATTERNS:
        match = pattern.fullmatch(bare)
        if match is not None:
            groups = tuple(group for group in match.groups() if group is not None)
            text = gettext(message)
            return (text % groups[: text.count("%s")] if "%s" in text else text) + stop
    labelled = _LABELLED.fullmatch(bare)
    if labelled is not None:
        rest = said(labelled[2])
        if rest != labelled[2]:
            return f"{labelled[1]}: {rest}{stop}"
    return sentence
