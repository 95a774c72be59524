package dev.lockstep.cli;

import dev.lockstep.block.BlockException;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.client.RemoteExport;
import dev.lockstep.nbd.client.RemoteServer;

import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// `-L`: what a server exports, in the layout that scripts know from qemu-nbd.
final class ExportListing {
    private static final Map<Integer, String> FLAG_NAMES = flagNames();

    private ExportListing() {}

    private static Map<Integer, String> flagNames() {
        Map<Integer, String> names = new LinkedHashMap<>();
        names.put(NbdProtocol.FLAG_READ_ONLY, "readonly");
        names.put(NbdProtocol.FLAG_SEND_FLUSH, "flush");
        names.put(NbdProtocol.FLAG_SEND_FUA, "fua");
        names.put(NbdProtocol.FLAG_ROTATIONAL, "rotational");
        names.put(NbdProtocol.FLAG_SEND_TRIM, "trim");
        names.put(NbdProtocol.FLAG_SEND_WRITE_ZEROES, "zeroes");
        names.put(NbdProtocol.FLAG_SEND_DF, "df");
        names.put(NbdProtocol.FLAG_CAN_MULTI_CONN, "multi");
        names.put(NbdProtocol.FLAG_SEND_RESIZE, "resize");
        names.put(NbdProtocol.FLAG_SEND_CACHE, "cache");
        names.put(NbdProtocol.FLAG_SEND_FAST_ZERO, "fast-zero");
        names.put(NbdProtocol.FLAG_BLOCK_STATUS_PAYLOAD, "block-status-payload");
        return names;
    }

    static void print(RemoteServer server, PrintStream out) throws BlockException {
        List<OptionReply.Server> exports = server.exports();
        out.printf("exports available: %d%n", exports.size());
        for (OptionReply.Server export : exports) {
            out.printf(" export: '%s'%n", export.name());
            if (!export.description().isEmpty()) {
                out.printf("  description: %s%n", export.description());
            }
            print(server.describe(export.name()), out);
        }
    }

    private static void print(RemoteExport export, PrintStream out) {
        out.printf("  size:  %s%n", Long.toUnsignedString(export.size()));
        StringBuilder names = new StringBuilder();
        FLAG_NAMES.forEach(
                (flag, name) -> {
                    if (export.has(flag)) {
                        names.append(' ').append(name);
                    }
                });
        out.printf("  flags: 0x%x (%s )%n", export.flags(), names);
        OptionReply.InfoBlockSize sizes = export.blockSizes();
        if (sizes != null) {
            out.printf("  min block: %d%n", sizes.minimum());
            out.printf("  opt block: %d%n", sizes.preferred());
            out.printf("  max block: %d%n", sizes.maximum());
        }
        int bits = export.headers() == HeaderStyle.EXTENDED ? 64 : 32;
        out.printf("  transaction size: %d-bit%n", bits);
        if (!export.contexts().isEmpty()) {
            out.printf("  available meta contexts: %d%n", export.contexts().size());
            export.contexts().forEach(context -> out.printf("   %s%n", context.name()));
        }
    }
}
