package dev.lockstep.cli.img;

import dev.lockstep.block.qcow2.layout.SnapshotEntry;

import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;

/// Internal snapshots as a table for people, in qemu-img's columns.
final class SnapshotTable {
    private static final DateTimeFormatter DATE =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT)
                    .withZone(ZoneId.systemDefault());

    private static final long MILLIS_NANOS = 1_000_000;

    private SnapshotTable() {}

    static String of(List<SnapshotEntry> snapshots) {
        StringBuilder text = new StringBuilder("Snapshot list:\n");
        text.append(row("ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT"));
        for (SnapshotEntry each : snapshots) {
            text.append(
                    row(
                            each.id(),
                            each.name(),
                            Sizes.human(each.vmStateBytes()),
                            DATE.format(Instant.ofEpochSecond(each.dateSeconds())),
                            clock(each.vmClockNanos() / MILLIS_NANOS),
                            each.icount().isPresent()
                                    ? Long.toString(each.icount().getAsLong())
                                    : ""));
        }
        return text.toString();
    }

    private static String row(
            String id, String tag, String size, String date, String clock, String count) {
        return "%-9s %-16s %8s%20s%13s%11s%n".formatted(id, tag, size, date, clock, count);
    }

    private static String clock(long millis) {
        long seconds = millis / 1000;
        return "%02d:%02d:%02d.%03d"
                .formatted(seconds / 3600, seconds / 60 % 60, seconds % 60, millis % 1000);
    }
}
