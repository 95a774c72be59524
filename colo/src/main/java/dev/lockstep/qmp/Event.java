package dev.lockstep.qmp;

import com.fasterxml.jackson.databind.node.ObjectNode;

/// Something that a server told without being asked. `data` is empty where the event has none.
public record Event(String name, ObjectNode data) {}
