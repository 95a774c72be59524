package dev.lockstep.colo;

import dev.lockstep.colo.machine.Action;
import dev.lockstep.colo.machine.DurableRecord;
import dev.lockstep.colo.machine.Event;
import dev.lockstep.colo.machine.Event.Culprit;
import dev.lockstep.colo.machine.Machine;
import dev.lockstep.colo.machine.Message;
import dev.lockstep.colo.machine.Moment;
import dev.lockstep.colo.machine.Node;
import dev.lockstep.colo.machine.Nonce;
import dev.lockstep.colo.machine.Order;
import dev.lockstep.colo.machine.State;
import dev.lockstep.colo.machine.Step;
import dev.lockstep.colo.machine.Timing;
import dev.lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

import java.io.IOException;
import java.security.SecureRandom;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongFunction;

/// Runs the machine of one side: takes one event at a time, steps, and has the actions carried out
/// in their order, all on one platform thread of its own, so that a busy guest never delays a
/// decision.
///
/// What is common to both sides is done here: stores (one after the other, off the thread), the
/// clock, the log of states, the answers to operators and to the peer. The rest is handed to the
/// side's [Hands].
public final class Actor implements AutoCloseable {
    /// What a side does about its machine's actions.
    public interface Hands {
        /// Hears of the node that a step installed, before the step's actions are carried out. On
        /// the actor's thread; it must not block.
        void installed(Node node);

        /// Carries out an action that is not one of the actor's own. On the actor's thread: a long
        /// one is begun with [Actor#begin], or ends in an event posted later.
        void carryOut(Action action);
    }

    /// Makes a record durable, or throws.
    @FunctionalInterface
    public interface RecordStore {
        /// Returns when the record is on stable storage.
        void store(DurableRecord record) throws IOException;
    }

    /// The work of a long action.
    @FunctionalInterface
    public interface Work {
        /// Does it, or throws why not.
        void run() throws IOException, InterruptedException;
    }

    private static final Logger LOG = LoggerFactory.getLogger("lockstep.colo");

    private static final String STOPPED = "this side has stopped";

    /// Random numbers of which none may ever come twice, on any host.
    private final SecureRandom random = new SecureRandom();

    private final Hands hands;
    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final Replies<Optional<String>> answers = new Replies<>();
    private final Replies<CallOutcome> calls = new Replies<>();
    private final AtomicLong nextRequest = new AtomicLong(1);
    private final AtomicLong transitions = new AtomicLong();
    private final RecordStore store;
    private final ExecutorService storer =
            Executors.newSingleThreadExecutor(Thread.ofVirtual().name("colo-store").factory());
    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread thread;
    private volatile Node node;
    private volatile @Nullable String failure;
    private volatile boolean closed;

    /// What came of a peer's request.
    private sealed interface CallOutcome {
        record Replied(Message.Reply reply) implements CallOutcome {}

        record Refused(String reason) implements CallOutcome {}
    }

    /// An actor that begins with `first`: its node is visible at once, its actions are carried out
    /// after [#start].
    public Actor(String name, Step first, RecordStore store, Hands hands) {
        this.hands = hands;
        this.store = store;
        this.node = first.node();
        this.thread = Thread.ofPlatform().name("colo-" + name).unstarted(() -> run(first));
    }

    /// Begins.
    public void start() {
        thread.start();
    }

    /// What this side believes now.
    public Node node() {
        return node;
    }

    /// How many times the state changed.
    public long transitions() {
        return transitions.get();
    }

    /// Has an event handled after those posted before it. Never blocks.
    public void post(Event event) {
        events.add(event);
    }

    /// Asks as an operator, and waits for the answer.
    ///
    /// @return why it was refused, or empty if it was done
    public Optional<String> ask(Order order) throws InterruptedException {
        return exchange(answers, request -> new Event.Asks(request, order), Optional.of(STOPPED));
    }

    /// Asks as an operator, and waits until it is done.
    ///
    /// @throws QmpException if it was refused, with the reason
    public void order(Order order) throws QmpException, InterruptedException {
        Optional<String> refusal = ask(order);
        if (refusal.isPresent()) {
            throw new QmpException(refusal.get());
        }
    }

    /// Asks as the primary, and waits for the reply.
    ///
    /// @throws IOException if it was refused, with the reason
    public Message.Reply call(Message.Request request) throws IOException, InterruptedException {
        CallOutcome outcome =
                exchange(
                        calls,
                        call -> new Event.Asked(call, request),
                        new CallOutcome.Refused(STOPPED));
        return switch (outcome) {
            case CallOutcome.Replied(Message.Reply reply) -> reply;
            case CallOutcome.Refused(String reason) -> throw new IOException(reason);
        };
    }

    /// Runs a long action on a virtual thread of its own, and posts its end.
    public void begin(long ticket, Culprit culprit, Work work) {
        Thread.ofVirtual()
                .name("colo-action-" + ticket)
                .start(
                        () -> {
                            try {
                                work.run();
                                post(new Event.Done(ticket));
                            } catch (IOException e) {
                                post(new Event.Failed(ticket, culprit, reason(e)));
                            } catch (InterruptedException e) {
                                Thread.currentThread().interrupt();
                            } catch (RuntimeException e) {
                                LOG.error("action {} went wrong", ticket, e);
                                post(new Event.Failed(ticket, culprit, e.toString()));
                            }
                        });
    }

    /// Waits for the end of this side.
    ///
    /// @return why it failed, or empty after a clean stop
    public Optional<String> awaitEnd() throws InterruptedException {
        ended.await();
        return Optional.ofNullable(failure);
    }

    /// Whether this side has ended.
    public boolean isEnded() {
        return ended.getCount() == 0;
    }

    /// Stops at once, whatever the machine thinks of it: to be followed by a restart's recovery.
    @Override
    public void close() {
        closed = true;
        events.add(new Event.Clock());
        storer.shutdown();
    }

    private void run(Step first) {
        try {
            apply(first);
            long nextTick = System.nanoTime() + Timing.TICK_NANOS;
            while (!closed) {
                long now = System.nanoTime();
                if (now - nextTick >= 0) {
                    nextTick = now + Timing.TICK_NANOS;
                    handle(new Event.Clock());
                }
                Event event = events.poll(nextTick - now, TimeUnit.NANOSECONDS);
                if (event != null) {
                    handle(event);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            LOG.error("the state machine went wrong", e);
            end(Optional.of("internal error: " + e));
        } finally {
            end(Optional.of("closed"));
            answers.close(Optional.of(STOPPED));
            calls.close(new CallOutcome.Refused(STOPPED));
        }
    }

    private void handle(Event event) {
        Nonce fresh = new Nonce(random.nextLong(), random.nextLong());
        apply(Machine.step(node, event, new Moment(System.nanoTime(), fresh)));
    }

    private void apply(Step step) {
        node = step.node();
        hands.installed(step.node());
        for (Action action : step.actions()) {
            carryOut(action);
        }
    }

    private void carryOut(Action action) {
        switch (action) {
            case Action.Store(long ticket, DurableRecord record) -> store(ticket, record);
            case Action.Answer(long request, Optional<String> refusal) ->
                    answers.put(request, refusal);
            case Action.Reply(long call, Message.Reply reply) ->
                    calls.put(call, new CallOutcome.Replied(reply));
            case Action.Refuse(long call, String reason) ->
                    calls.put(call, new CallOutcome.Refused(reason));
            case Action.Changed changed -> {
                transitions.incrementAndGet();
                LOG.atLevel(level(changed))
                        .log(
                                "{} -> {} ({}, epoch {})",
                                changed.from().label(),
                                changed.to().label(),
                                changed.reason(),
                                changed.epoch());
                hands.carryOut(changed);
            }
            case Action.Warn(String what) -> LOG.warn("{}", what);
            case Action.Exit(Optional<String> reason) -> {
                hands.carryOut(action);
                end(reason);
            }
            case Action.Flush _,
                    Action.Drain _,
                    Action.Fence _,
                    Action.Attach _,
                    Action.Commit _,
                    Action.ShutGuest _,
                    Action.OpenGuest _,
                    Action.FailRemote _,
                    Action.Send _,
                    Action.OpenTarget _,
                    Action.SwapBuffers _,
                    Action.DropBuffers _,
                    Action.StartCopy _,
                    Action.Ready _ ->
                    hands.carryOut(action);
        }
    }

    private static Level level(Action.Changed changed) {
        if (changed.to() == State.FAILED) {
            return Level.ERROR;
        }
        return changed.alarming() ? Level.WARN : Level.INFO;
    }

    private void store(long ticket, DurableRecord record) {
        storer.execute(
                () -> {
                    try {
                        store.store(record);
                        post(new Event.Stored(ticket, record));
                    } catch (IOException e) {
                        post(new Event.Failed(ticket, Culprit.STATE_FILE, reason(e)));
                    }
                });
    }

    private void end(Optional<String> reason) {
        if (!isEnded()) {
            failure = reason.orElse(null);
            ended.countDown();
        }
    }

    private <T> T exchange(Replies<T> replies, LongFunction<Event> event, T otherwise)
            throws InterruptedException {
        long request = nextRequest.getAndIncrement();
        replies.expect(request, otherwise);
        post(event.apply(request));
        return replies.take(request);
    }

    private static String reason(IOException e) {
        String message = e.getMessage();
        return message == null ? e.toString() : message;
    }
}
