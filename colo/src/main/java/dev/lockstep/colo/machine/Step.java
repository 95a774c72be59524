package dev.lockstep.colo.machine;

import java.util.List;

/// What a step came to: install the node, then carry out the actions in order.
public record Step(Node node, List<Action> actions) {
    public Step {
        actions = List.copyOf(actions);
    }
}
