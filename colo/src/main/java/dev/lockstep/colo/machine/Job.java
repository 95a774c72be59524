package dev.lockstep.colo.machine;

import java.util.Optional;

/// The one thing a side is in the middle of. It waits for the event with its ticket; requests that
/// come meanwhile are deferred.
public sealed interface Job {
    /// The ticket or call that this job waits for; 0 if none.
    long ticket();

    /// Nothing.
    record Idle() implements Job {
        @Override
        public long ticket() {
            return 0;
        }
    }

    /// Primary: from asking who the secondary is to serving with it.
    ///
    /// `request` is the operator's resync, or empty at the start of the process. `next` is what is
    /// stored at the end.
    record Joining(
            Joining.Stage stage,
            long ticket,
            Optional<Long> request,
            SyncMode sync,
            boolean force,
            Optional<DurableRecord> before,
            Optional<Message.Join> join)
            implements Job {
        /// Where a join is.
        public enum Stage {
            /// Asked who the secondary is.
            ASKING,
            /// Storing that the peer lacks everything, under a new generation.
            BRANCHING,
            /// Asked the secondary to begin the session.
            JOINING,
            /// Opening the remote child.
            ATTACHING,
            /// Storing the outcome.
            STORING
        }
    }

    /// Primary: a checkpoint; `request` is empty when it ends a full sync.
    record Checkpointing(
            Checkpointing.Stage stage,
            long ticket,
            Optional<Long> request,
            long begunNanos,
            long askedNanos)
            implements Job {
        /// Where a checkpoint is.
        public enum Stage {
            /// Storing "in doubt", while the guest still writes.
            DOUBTING,
            /// Flushing both sides, while the guest still writes.
            FLUSHING,
            /// The guest is shut; draining, flushing again.
            DRAINING,
            /// Asked the secondary. From here to its answer only its record knows.
            ASKED,
            /// Storing the new epoch.
            STORING
        }
    }

    /// Primary: storing that the peer is stale.
    record Degrading(long ticket) implements Job {}

    /// Either side: stopping.
    record Quitting(Quitting.Stage stage, long ticket, long request, long askedNanos)
            implements Job {
        /// Where a stop is.
        public enum Stage {
            /// Draining and flushing.
            DRAINING,
            /// Primary: told the secondary, which takes a last checkpoint.
            LEAVING,
            /// Storing "clean".
            STORING
        }
    }

    /// Secondary: beginning a session.
    record Accepting(
            Accepting.Stage stage, long ticket, long call, Message.Join join, DurableRecord next)
            implements Job {
        /// Where it is.
        public enum Stage {
            /// Closing the session before.
            FENCING,
            /// Holding the guest.
            DRAINING,
            /// Storing the new session's record.
            STORING
        }
    }

    /// Secondary: a checkpoint: the primary's, its last one (`last`), or a local one.
    record Swapping(
            Swapping.Stage stage, long ticket, long asker, boolean local, boolean last, long epoch)
            implements Job {
        /// Where it is.
        public enum Stage {
            /// Local only: closing the session.
            FENCING,
            /// The guest is shut; draining it and the target.
            DRAINING,
            /// Storing the epoch: the commit point of the whole pair's checkpoint.
            STORING
        }
    }

    /// Secondary: storing that it is stale.
    record Noting(Noting.Stage stage, long ticket, long call) implements Job {
        /// Where it is.
        public enum Stage {
            /// Closing the session.
            FENCING,
            /// Storing.
            STORING
        }
    }

    /// Secondary: becoming the primary.
    record Promoting(Promoting.Stage stage, long ticket, long request, FailoverTo to, boolean force)
            implements Job {
        /// Where a failover is.
        public enum Stage {
            /// To the latest: holding the guest, to know whether it wrote.
            DRAINING,
            /// Closing the primary's session.
            FENCING,
            /// Storing the new generation.
            STORING,
            /// Committing the buffers; the guest is served.
            COMMITTING,
            /// Storing that the disk alone is the disk.
            SETTLING
        }
    }
}
