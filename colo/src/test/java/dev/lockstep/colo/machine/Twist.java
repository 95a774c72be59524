package dev.lockstep.colo.machine;

/// How a broken daemon differs from the real one. By default, not at all.
interface Twist {
    /// The faithful daemon.
    Twist NONE = new Twist() {};

    /// What is done with a step before it is carried out.
    default Step after(Node before, Step step) {
        return step;
    }

    /// What reaches the machine in place of an event.
    default Event before(Node node, Event event) {
        return event;
    }

    /// When writes are acknowledged.
    default Acknowledgement rule(Node node) {
        return Acknowledgement.of(node);
    }

    /// Whether a session that is over is kept out.
    default boolean fences() {
        return true;
    }

    /// Whether a drain waits.
    default boolean drains() {
        return true;
    }

    /// Whether a full copy copies anything.
    default boolean copies() {
        return true;
    }

    /// Whether a stored record survives a crash that follows.
    default boolean syncsStores() {
        return true;
    }
}
