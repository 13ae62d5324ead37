"""What a start refuses: settings that contradict each other, files that may not be loaded, columns nobody takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shadowserve.errors import SettingsError
from shadowserve.host import isolation
from shadowserve.http import certificate, tokens
from shadowserve.journal import writer
from shadowserve.settings import adapting
from shadowserve.settings.policy import Policy
from shadowserve.settings.settings import Settings, flag_of
from shadowserve.settings.spellings import size_text
from shadowserve.state.deployment import Deployment
from shadowserve.versions import pins
from shadowserve.versions.mlmodel import library_differences
from shadowserve.versions.version import Version


def refuse_settings(settings: Settings) -> None:
    """Refuse a loss that cannot be imported, what this machine cannot do, a bad token's file or certificate.

    Raises
    ------
    SettingsError
    """
    refuse_budget(settings)
    if settings.keep_former and not settings.follow:
        raise SettingsError(
            f"{flag_of('keep_former')} is of use with {flag_of('follow')} alone. Else name the former champion with "
            f"{flag_of('challengers')}."
        )
    if settings.follow and pins.parse(settings.champion).alias is None:
        raise SettingsError(
            f"{flag_of('follow')} follows an alias. Give one with {flag_of('champion')}, such as @champion."
        )
    if settings.entity is not None and settings.entity_header is not None:
        raise SettingsError(
            f"{flag_of('entity')} and {flag_of('entity_header')} both name a request's entity. "
            "Give the column or the header, not both."
        )
    loss = Policy.of(settings.verdict).loss
    if ":" in loss:
        from shadowserve.labels.chosen import own_loss

        own_loss(loss)
    if settings.token_file is not None:
        tokens.read(settings.token_file)
    if found := certificate.of(settings.ssl_certfile, settings.ssl_keyfile):
        found.context()
    if not settings.lane_network and (why := isolation.why_not()):
        raise SettingsError(
            f"--lane-network off: this process may not make a network namespace ({why}). "
            "Run it as root or where user namespaces are allowed, or leave the option away."
        )


def refuse_budget(settings: Settings) -> None:
    """Refuse a journal's budget that could not be kept, in the unit of those that can.

    Raises
    ------
    SettingsError
    """
    workers = 1 if settings.tap else settings.workers
    least = writer.least_budget(workers=workers, max_body=settings.max_body)
    if settings.journal_budget < least:
        raise SettingsError(
            f"{flag_of('journal_budget')} {size_text(settings.journal_budget)} is too small: "
            f"{workers} worker{'' if workers == 1 else 's'} with {flag_of('max_body')} "
            f"{size_text(settings.max_body)} need at least {size_text(least)}, so that it holds. "
            "Give that much, or lower the largest body."
        )


def file_faults(settings: Settings, version: Version, *, isolated: bool = False) -> list[str]:
    """Say why files may not be loaded: not on the list of digests, or trained with other libraries.

    Parameters
    ----------
    isolated : bool
        Whether it runs in an environment of its own.

    Returns
    -------
    list of str
        Empty where `--allow-digest` and `--strict-versions` have nothing against them.
    """
    faults = []
    if settings.allow_digests and version.digest not in settings.allow_digests:
        faults.append(f"{version.pin} has digest {version.digest}, which no --allow-digest names.")
    strict = (
        settings.strict_versions and not isolated
    )  # in its own environment these are as recorded
    differences = library_differences(version.libraries) if strict else []
    if differences:
        faults.append(
            f"{version.pin} was trained with other libraries: {'; '.join(differences)}. "
            "Install those, or leave --strict-versions away."
        )
    return faults


def refuse_adapters(settings: Settings, challengers: Sequence[pins.Pin]) -> None:
    """Refuse adapters of versions that are not in the shadow: the champion's answers are never adapted.

    Raises
    ------
    SettingsError
    """
    known = [pin.version for pin in challengers]
    strange = [
        f"v{number}" for number in adapting.named(settings.adapt_output) if number not in known
    ]
    if strange:
        shadowed = ", ".join(f"v{number}" for number in known) or "none"
        raise SettingsError(
            f"{flag_of('adapt_output')}: {', '.join(strange)} is no challenger. Challengers: {shadowed}."
        )


def refuse_columns(settings: Settings, versions: Sequence[Version]) -> None:
    """Refuse columns to show, hash or drop that no version takes: a slip would show a value.

    The column that names the entity must be one that every version takes.

    Raises
    ------
    SettingsError
        With one line for each option and the names that are known.
    """
    known = list(dict.fromkeys(name for version in versions for name in _columns(version)))
    if not known:
        return
    faults = list(_entity_faults(settings, versions))
    for option in ("log_inputs", "hash_inputs", "drop_inputs"):
        asked = getattr(settings, option)
        strange = [] if isinstance(asked, str) else [name for name in asked if name not in known]
        if strange:
            faults.append(
                f"{flag_of(option)}: no version takes {', '.join(strange)}. "
                f"Known: {', '.join(known)}."
            )
    if faults:
        raise SettingsError("\n".join(faults))


def _entity_faults(settings: Settings, versions: Sequence[Version]) -> Iterator[str]:
    """Yield a line for each version that would never see the entity: each request would count as another."""
    for version in versions:
        names = _columns(version)
        if settings.entity is not None and names and settings.entity not in names:
            yield (
                f"{flag_of('entity')}: {version.pin} takes no column {settings.entity}, so every request "
                f"would count as another one's. It takes: {', '.join(names)}. Name one of these, leave "
                f"{flag_of('entity')} away, or log the model with that column in its signature."
            )


def _columns(version: Version) -> list[str]:
    from shadowserve.schema.schema import Schema  # imports pandas, which workers need not wait for

    return [str(column.name) for column in Schema.from_signature(version.signature).columns]


def isolated_of(
    settings: Settings,
    champion: pins.Pin,
    challengers: Sequence[pins.Pin],
    *,
    recorded: Deployment | None = None,
) -> tuple[str, ...]:
    """Return the versions that run in environments of their own, as their pins are written in full.

    Who has joined while serving runs as it joined, whatever the settings say.

    Parameters
    ----------
    champion, challengers : Pin, sequence of Pin
        As resolved, in the order of the settings.
    recorded : Deployment, optional
        That which challengers joined and left before; a setting's one that has left since is passed over.

    Raises
    ------
    SettingsError
        If one is no challenger: the champion's answers come from the server's own libraries.
    """
    found: list[str] = []
    written = list(map(str, challengers)) if recorded is not None else settings.challengers
    for text in settings.isolate:
        known = [
            pin for one, pin in zip(written, challengers, strict=True) if _means(text, one, pin)
        ]
        if pins.parse(text).model is None:  # a bare number is one of the champion's model first
            known = [pin for pin in known if pin.model == champion.model] or known
        own = any(pin.model == champion.model for pin in known)
        if not own and _means(text, settings.champion, champion):
            raise SettingsError(
                f"{flag_of('isolate')} {text}: {champion} is the champion, and only challengers run isolated. To "
                "serve it, install what it was trained with beside this server."
            )
        if not known and recorded is None:
            raise SettingsError(
                f"{flag_of('isolate')} {text} names none of the challengers: {', '.join(map(str, challengers))}. "
                "Give the pin of one of them."
            )
        found += map(str, known)
    joined = {} if recorded is None else _joined(recorded, challengers)
    found = [pin for pin in found if pin not in joined]
    return (*dict.fromkeys(found), *(pin for pin, isolated in joined.items() if isolated))


def _joined(recorded: Deployment, challengers: Sequence[pins.Pin]) -> dict[str, bool]:
    """Return who has joined while serving and is still there, and whether it runs isolated."""
    return {
        str(one.pin): recorded.options.isolates(one)
        for one in recorded.challengers
        if one.pin in challengers and recorded.stay_of(recorded.number_of(one)).joined is not None
    }


def _means(text: str, written: str, pin: pins.Pin) -> bool:
    """Whether a text names a pin that was written so: an alias is not looked up twice."""
    asked = pins.parse(text)
    if asked.version is None:
        return asked == pins.parse(written)
    return asked.version == pin.version and asked.model in (None, pin.model)


def refuse_repeated(challengers: Sequence[pins.Pin]) -> None:
    """Refuse a challenger given twice.

    Raises
    ------
    SettingsError
    """
    for pin in challengers:
        if challengers.count(pin) > 1:
            raise SettingsError(f"Challenger {pin} is given twice. Once is enough.")
