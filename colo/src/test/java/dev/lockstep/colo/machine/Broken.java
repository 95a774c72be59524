package dev.lockstep.colo.machine;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/// Daemons with one rule broken, each of which the simulation must catch.
enum Broken implements Twist {
    ACKNOWLEDGES_BEFORE_STALE_IS_STORED {
        @Override
        public Acknowledgement rule(Node node) {
            return node.state() == State.DEGRADED
                    ? Acknowledgement.LOCAL_ONLY
                    : Acknowledgement.of(node);
        }
    },
    ACKNOWLEDGES_WHAT_ONLY_THE_LOCAL_DISK_DID {
        @Override
        public Acknowledgement rule(Node node) {
            return node.state() == State.RUNNING
                    ? Acknowledgement.LOCAL_ONLY
                    : Acknowledgement.of(node);
        }
    },
    DOES_NOT_FENCE {
        @Override
        public boolean fences() {
            return false;
        }
    },
    DOES_NOT_DRAIN {
        @Override
        public boolean drains() {
            return false;
        }
    },
    DOES_NOT_SYNC_ITS_STATE_FILE {
        @Override
        public boolean syncsStores() {
            return false;
        }
    },
    RESUMES_AFTER_A_CRASH_WITHOUT_A_SYNC {
        @Override
        public Step after(Node before, Step step) {
            return stores(step, DurableRecord::closed);
        }
    },
    KEEPS_ITS_GENERATION_WHEN_IT_IS_PROMOTED {
        @Override
        public Step after(Node before, Step step) {
            return stores(
                    step,
                    next ->
                            before.record().isPresent()
                                            && before.role() == Role.SECONDARY
                                            && next.role() == Role.PRIMARY
                                    ? next.of(before.record().get().identity())
                                    : next);
        }
    },
    FORGETS_THAT_IT_WAS_TOLD_IT_IS_STALE {
        @Override
        public Step after(Node before, Step step) {
            return stores(
                    step,
                    next -> next.standing() == Standing.STALE ? next.as(Standing.FOLLOWING) : next);
        }
    },
    FORGETS_THAT_IT_HOLDS_HALF_A_COPY {
        @Override
        public Step after(Node before, Step step) {
            return stores(
                    step,
                    next ->
                            next.standing() == Standing.INCONSISTENT
                                    ? next.as(Standing.FOLLOWING)
                                    : next);
        }
    },
    PROMOTES_WHOEVER_ASKS {
        @Override
        public Event before(Node node, Event event) {
            return event instanceof Event.Asks(long request, Order.Failover order)
                    ? new Event.Asks(request, new Order.Failover(order.to(), true))
                    : event;
        }
    },
    ENDS_A_SYNC_BEFORE_IT_BEGAN {
        @Override
        public boolean copies() {
            return false;
        }
    },
    TAKES_AN_UNANSWERED_CHECKPOINT_FOR_ANSWERED {
        @Override
        public Event before(Node node, Event event) {
            return event instanceof Event.Unreachable unreachable
                            && node.job() instanceof Job.Checkpointing job
                            && job.ticket() == unreachable.call()
                    ? new Event.Replied(
                            unreachable.call(),
                            new Message.Checkpointed(node.record().orElseThrow().epoch() + 1))
                    : event;
        }
    },
    ANSWERS_A_CHECKPOINT_WITHOUT_SWAPPING {
        @Override
        public Step after(Node before, Step step) {
            return replaces(
                    step,
                    action ->
                            action instanceof Action.SwapBuffers
                                    ? new Action.Warn("skip")
                                    : action);
        }
    };

    /// Stores another record, and believes it.
    private static Step stores(Step step, UnaryOperator<DurableRecord> change) {
        Step changed =
                replaces(
                        step,
                        action ->
                                action instanceof Action.Store(long ticket, DurableRecord record)
                                        ? new Action.Store(ticket, change.apply(record))
                                        : action);
        Node node = step.node();
        Node believer =
                new Node(
                        node.role(),
                        node.state(),
                        node.settings(),
                        node.incarnation(),
                        node.record().map(change),
                        node.durable(),
                        node.session(),
                        node.liveness(),
                        node.restarted(),
                        node.yields(),
                        node.guestWrote(),
                        node.job(),
                        node.deferred(),
                        node.telling(),
                        node.error(),
                        node.tickets());
        return new Step(believer, changed.actions());
    }

    private static Step replaces(Step step, UnaryOperator<Action> change) {
        List<Action> actions = new ArrayList<>(step.actions());
        actions.replaceAll(change);
        return new Step(step.node(), actions);
    }
}
