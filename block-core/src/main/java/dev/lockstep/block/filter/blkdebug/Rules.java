package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.file.HostError;
import dev.lockstep.block.filter.blkdebug.Rule.InjectError;
import dev.lockstep.block.filter.blkdebug.Rule.IoType;
import dev.lockstep.block.filter.blkdebug.Rule.SetState;
import dev.lockstep.block.graph.Step;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// The rules in force, and what has happened.
final class Rules {
    private static final int FIRST_STATE = 1;

    /// Guards: everything below.
    private final ReentrantLock lock = new ReentrantLock();

    private final List<Rule> rules;
    private int state = FIRST_STATE;
    private List<InjectError> active = new ArrayList<>();

    /// Rules in the order in which they were written down.
    Rules(List<Rule> rules) {
        this.rules = new ArrayList<>(rules);
        before(Step.NONE);
    }

    /// Follows the rules of a step. If several change the state, the one that was written down
    /// first decides.
    void before(Step step) {
        lock.lock();
        try {
            int next = state;
            boolean decided = false;
            List<InjectError> woken = new ArrayList<>();
            for (Rule rule : rules) {
                if (rule.event() != step
                        || (rule.state() != Rule.ANY_STATE && rule.state() != state)) {
                    continue;
                }
                switch (rule) {
                    case InjectError error -> woken.add(error);
                    case SetState change -> {
                        next = decided ? next : change.newState();
                        decided = true;
                    }
                }
            }
            active = woken.isEmpty() ? active : woken;
            state = next;
        } finally {
            lock.unlock();
        }
    }

    /// How a request fails, or null if it does not: the first active rule that matches decides.
    @Nullable HostError judge(IoType type, long offset, long length) {
        lock.lock();
        try {
            for (InjectError rule : active) {
                if (rule.matches(type, offset, length)) {
                    return rule.error().number() == 0 ? null : spent(rule);
                }
            }
            return null;
        } finally {
            lock.unlock();
        }
    }

    private HostError spent(InjectError rule) {
        if (rule.once()) {
            rules.remove(rule);
            active.remove(rule);
        }
        return rule.error();
    }
}
