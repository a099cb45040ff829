"""Actors: whoever starts a movement."""

from accounts.models import Actor, User


def actor_of(user: User) -> Actor:
    """This person's actor, made at the first call. Safe when called twice at once."""
    try:
        return user.actor
    except Actor.DoesNotExist:
        # Django makes the row inside a savepoint, and reads again when somebody was faster.
        return Actor.objects.get_or_create(kind=Actor.Kind.PERSON, user=user)[0]


def system_actor(name: str) -> Actor:
    """The actor of a part of the system: `gateway`, `beat` … Made at the first call."""
    return Actor.objects.get_or_create(kind=Actor.Kind.SYSTEM, name=name)[0]
