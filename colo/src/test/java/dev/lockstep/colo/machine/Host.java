package dev.lockstep.colo.machine;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// One simulated host: a disk, a state file, and the process that runs on it if it is up.
final class Host {
    static final int BLOCKS = 3;
    static final int NOTHING = -1;

    /// A guest's write or a step of the copy, from its issue to its acknowledgement.
    static final class Write {
        enum Remote {
            NONE,
            PENDING,
            DONE,
            FAILED
        }

        final int block;
        final int value;
        final boolean copy;
        boolean local;
        Remote remote;

        Write(int block, int value, boolean copy, Remote remote) {
            this.block = block;
            this.value = value;
            this.copy = copy;
            this.local = copy;
            this.remote = remote;
        }
    }

    final String name;

    // On the disk and in the state file: what outlives the process.
    final int[] disk = new int[BLOCKS];
    final int[] synced = new int[BLOCKS];
    final int[] hidden = filled();
    final int[] active = filled();
    long buffersEpoch;
    Optional<DurableRecord> stored = Optional.empty();
    Optional<DurableRecord> storedForGood = Optional.empty();
    boolean asPrimary;

    // The process.
    @Nullable Node node;
    boolean volatileBuffers;
    boolean guestOpen;
    boolean saving;
    @Nullable Nonce target;
    @Nullable Nonce remote;
    final List<Action> pending = new ArrayList<>();
    final List<Write> writes = new ArrayList<>();
    final Set<Long> calls = new LinkedHashSet<>();
    final Map<Long, Order> orders = new HashMap<>();
    int copyAt = NOTHING;

    // What is true of this host, whatever its machine believes.
    final int[] expected = new int[BLOCKS];
    final int[] mustHave = new int[BLOCKS];
    boolean everJoined;
    boolean toldStale;
    boolean inconsistent;
    boolean inSession;
    boolean restartedInSession;
    boolean soleWrites;
    boolean guestWrote;
    boolean forced;
    boolean committed;
    boolean repeated;
    boolean hadEverything;
    boolean wasFollowing;
    SyncMode sync = SyncMode.UNSPECIFIED;
    Optional<Message.Request> lastAsked = Optional.empty();

    Host(String name) {
        this.name = name;
    }

    private static int[] filled() {
        int[] blocks = new int[BLOCKS];
        Arrays.fill(blocks, NOTHING);
        return blocks;
    }

    boolean isUp() {
        return node != null;
    }

    Node up() {
        Node current = node;
        if (current == null) {
            throw new IllegalStateException(name + " is down");
        }
        return current;
    }

    boolean is(Role role) {
        return node != null && node.role() == role;
    }

    /// What this host's guest reads.
    int view(int block) {
        if (active[block] != NOTHING) {
            return active[block];
        }
        return hidden[block] != NOTHING ? hidden[block] : disk[block];
    }

    void emptyBuffers() {
        Arrays.fill(active, NOTHING);
        Arrays.fill(hidden, NOTHING);
    }

    void expectDisk() {
        System.arraycopy(disk, 0, expected, 0, BLOCKS);
    }

    void flush() {
        System.arraycopy(disk, 0, synced, 0, BLOCKS);
    }

    boolean isBusy(int block) {
        for (Write write : writes) {
            if (write.block == block) {
                return true;
            }
        }
        return false;
    }

    /// A write of this host's own guest, as a primary, reaches the disk.
    void applyLocally(Write write) {
        boolean converging = active[write.block] != NOTHING || hidden[write.block] != NOTHING;
        disk[write.block] = write.value;
        expected[write.block] = write.value;
        active[write.block] = NOTHING;
        hidden[write.block] = NOTHING;
        if (converging) {
            synced[write.block] = write.value;
        }
        write.local = true;
    }

    /// A write of the primary reaches the target.
    void applyAsTarget(int block, int value) {
        if (saving && hidden[block] == NOTHING) {
            hidden[block] = disk[block];
        }
        disk[block] = value;
    }

    /// Commits one more block of the buffers; false if there is none left.
    boolean commitBlock() {
        for (int block = 0; block < BLOCKS; block++) {
            if (active[block] != NOTHING || hidden[block] != NOTHING) {
                disk[block] = view(block);
                synced[block] = disk[block];
                active[block] = NOTHING;
                hidden[block] = NOTHING;
                return true;
            }
        }
        return false;
    }

    /// The process is gone. After a power cut so is any part of what was not synced.
    void crash(boolean power, long coin) {
        node = null;
        guestOpen = false;
        target = null;
        remote = null;
        pending.clear();
        writes.clear();
        calls.clear();
        orders.clear();
        copyAt = NOTHING;
        for (int block = 0; block < BLOCKS && power; block++) {
            if (((coin >> block) & 1) == 0) {
                disk[block] = synced[block];
                mustHave[block] = Math.min(mustHave[block], disk[block]);
            }
        }
        if (power) {
            stored = storedForGood;
            flush();
        }
        if (stored.isEmpty() || stored.get().role() == Role.PRIMARY) {
            boolean buffered = false;
            for (int block = 0; block < BLOCKS; block++) {
                buffered |= active[block] != NOTHING || hidden[block] != NOTHING;
            }
            if (!buffered) {
                expectDisk();
            }
        }
    }
}
