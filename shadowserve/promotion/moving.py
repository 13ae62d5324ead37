"""Moving the alias: under the registry's lock, looked at again, set, read back and told as tags.

Whoever is killed on the way leaves the lock with what was to be done. The next promoter reads it: where the
alias had been moved, what was to be told of that is told; where not, nothing had been changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from shadowserve.errors import PromotionError, ShadowserveError, UnreachableError
from shadowserve.evidence.store import Store
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.legible import legible
from shadowserve.promotion.grounds import changed
from shadowserve.state import deployment as deployments
from shadowserve.state import switches
from shadowserve.state.places import Places
from shadowserve.state.switches import TAG, Switch
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Registry
from shadowserve.versions.switch_lock import Link, SwitchLock
from shadowserve.versions.version import Version

Say = Callable[[str], None]


def move(
    registry: Registry,
    switch: Switch,
    known: Mapping[int, Version],
    *,
    places: Places,
    broken: str | None = None,
    say: Say = lambda _: None,
) -> Switch:
    """Move an alias as a switch says, if the registry still is what it was when that was decided.

    Parameters
    ----------
    known : mapping of number to Version
        Both versions, as they were then.
    places : Places
        The state directory, whose deployment is told if the switch rests on it.
    broken : str, optional
        Token of a lock whose holder is known to be dead.

    Returns
    -------
    Switch
        With its time.

    Raises
    ------
    PromotionError
        If somebody has moved the alias or changed a version meanwhile, or moved the alias right afterwards.
    UnreachableError
        If somebody else is at it, or the registry cannot be used.
    """
    calls = registry.calls
    switch = switch.at_time(switches.now())
    lock = SwitchLock(calls, switch.model)
    with lock.held(by=switch.by, intent=switch.to_json(), broken=broken, say=say) as held:
        for link in held.left:
            settle(registry, link, places=places, say=say)
        _look_again(registry, switch, known)
        held.check()
        _set(registry, switch)
        tell(registry, switch, places=places, say=say)
        _read_back(registry, switch)
    return switch


def settle_left(
    registry: Registry, model: str, *, by: str, broken: str | None, places: Places, say: Say
) -> None:
    """Settle what a promoter that died has left; nothing where none did, or where nobody can know."""
    lock = SwitchLock(registry.calls, model)
    if lock.is_left(broken):
        with lock.held(by=by, intent="", broken=broken, say=say) as held:
            for link in held.left:
                settle(registry, link, places=places, say=say)


def stands_for(registry: Registry, model: str, alias: str) -> int | None:
    """Return what an alias stands for; None where there is none of that name."""
    return registry.calls.aliases(model).get(alias)


def settle(registry: Registry, link: Link, *, places: Places, say: Say) -> None:
    """Finish what a promoter that died had begun, or say that it had changed nothing."""
    begun = Switch.from_json(link.intent)
    if begun is None:
        return
    what = f"v{begun.successor} to @{begun.alias}, begun by {begun.by} on {begun.at}"
    now = stands_for(registry, begun.model, begun.alias)
    if now == begun.successor:
        say(f"Finishing      the move of {what}: it had been made, and is told now")
        tell(registry, begun, places=places, say=say)
    elif now == begun.former:
        say(f"Undone         the move of {what}: nothing had been changed")
    else:
        say(f"Left           the move of {what}: @{begun.alias} stands for another version by now")


def tell(registry: Registry, switch: Switch, *, places: Places, say: Say) -> None:
    """Tag both versions, and tell the deployment and the run that it rests on."""
    for number, tags in switch.tags().items():
        registry.calls.tag_version(Pin(switch.model, number), tags)
    _tell_deployment(switch, places, say)
    if switch.run_id:
        try:
            told = {TAG: switch.says}
            Store(registry.uris.tracking, registry.uris.registry).tag(switch.run_id, told)
        except UndeliveredError as error:  # the versions' tags have it
            say(f"Note           run {switch.run_id} is not tagged: {error}")


def _tell_deployment(switch: Switch, places: Places, say: Say) -> None:
    with suppress(ShadowserveError):
        present = deployments.read(places)
        if present is None or present.id != switch.deployment:
            return
        try:
            switches.add(places, switch)
        except OSError as error:
            say(
                f"Note           the report will not tell of it: {places.switched} ({error.strerror})"
            )


def _look_again(registry: Registry, switch: Switch, known: Mapping[int, Version]) -> None:
    now = stands_for(registry, switch.model, switch.alias)
    if now != switch.former:
        raise PromotionError(_moved(registry, switch, now, before=True))
    for number, version in known.items():
        if reason := changed(version, registry.identified(Pin(switch.model, number))):
            raise PromotionError(
                f"{version.pin} was changed in the registry while this was decided: {reason}. Nothing was changed "
                "from here. Serve what is registered now, and compare that."
            )


def _set(registry: Registry, switch: Switch) -> None:
    try:
        registry.calls.set_alias(switch.model, switch.alias, switch.successor)
    except UnreachableError as error:
        raise UnreachableError(
            f"{error} That was while @{switch.alias} was moved from {_name(switch.former)} to v{switch.successor}: it "
            "may stand for either. The same command, run again, finishes it or shows that nothing was changed."
        ) from error


def _read_back(registry: Registry, switch: Switch) -> None:
    now = stands_for(registry, switch.model, switch.alias)
    if now != switch.successor:
        raise PromotionError(_moved(registry, switch, now, before=False))


def _moved(registry: Registry, switch: Switch, now: int | None, *, before: bool) -> str:
    """Say who has moved the alias, as far as the tags of what it stands for tell."""
    by = "somebody who left no tag"
    if now is not None:
        tags = registry.calls.entity(Pin(switch.model, now)).tags
        if tags.get(TAG) in ("promoted", "restored") and tags.get(f"{TAG}.alias") == switch.alias:
            by = legible(f"{tags.get(f'{TAG}.by')} on {tags.get(f'{TAG}.at')}")
    stands = f"@{switch.alias} stands for {_name(now)} by now"
    if before:
        return (
            f"{stands}, and for {_name(switch.former)} when this was decided: it was moved by {by}. Nothing was "
            "changed from here. Look at what is served now, and decide again."
        )
    return (
        f"{stands}: it was set to v{switch.successor}, and moved by {by} right afterwards, without asking for the "
        "lock. Agree with whoever did; 'shadowserve pins' shows what stands."
    )


def _name(number: int | None) -> str:
    return "nothing" if number is None else f"v{number}"
