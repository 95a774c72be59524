package dev.lockstep.colo.machine;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// The states that a disk's record can be in, as `docs/replication-states.md` names them.
public final class StoredStates {
    private static final Nonce GENERATION = new Nonce(1, 1);

    private StoredStates() {}

    /// Every state by its name in the document.
    ///
    /// @param branch the generation of those that went their own way
    public static Map<String, Optional<DurableRecord>> of(Nonce branch) {
        Map<String, Optional<DurableRecord>> rows = new LinkedHashMap<>();
        rows.put("nothing", Optional.empty());
        rows.put("primary, paired, clean", record(Standing.PAIRED, branch, false, true));
        rows.put("primary, paired, open", record(Standing.PAIRED, branch, true, true));
        rows.put(
                "primary, in doubt about a checkpoint",
                record(Standing.CHECKPOINTING, branch, true, true));
        rows.put("primary, alone, clean", record(Standing.ALONE, branch, false, true));
        rows.put("primary, alone, open", record(Standing.ALONE, branch, true, true));
        rows.put("secondary, clean", record(Standing.FOLLOWING, branch, false, true));
        rows.put(
                "secondary, open, buffers in memory",
                record(Standing.FOLLOWING, branch, true, true));
        rows.put(
                "secondary, open, buffers on disk",
                record(Standing.FOLLOWING, branch, true, false));
        rows.put("secondary, stale", record(Standing.STALE, branch, true, true));
        rows.put("secondary, half a copy", record(Standing.INCONSISTENT, branch, true, true));
        rows.put(
                "failing over, buffers in memory",
                record(Standing.FAILING_OVER, branch, true, true));
        rows.put(
                "failing over, buffers on disk",
                record(Standing.FAILING_OVER, branch, true, false));
        rows.put("promoted", record(Standing.PROMOTED, branch, true, true));
        return rows;
    }

    /// A side that branched has a generation of its own; one that did not shares the pair's.
    private static Optional<DurableRecord> record(
            Standing standing, Nonce branch, boolean open, boolean volatileBuffers) {
        Identity shared = Identity.first(GENERATION);
        Identity identity =
                switch (standing) {
                    case ALONE, FAILING_OVER, PROMOTED -> shared.branch(branch);
                    default -> shared;
                };
        return Optional.of(new DurableRecord(standing, identity, open, volatileBuffers));
    }
}
